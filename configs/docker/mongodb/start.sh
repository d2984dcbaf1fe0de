#!/usr/bin/env bash
# Start mongod as a replica set of one in which everybody has to log in, and prepare it.
# Arguments go to mongod.
set -Eeuo pipefail
umask 077

# With a key file the members prove who they are, and clients are asked for a password.
printf '%s\n' "$MONGODB_REPLICA_KEY" >/tmp/replica-key

prepare() {
  until mongosh --quiet --nodb /opt/lucid/prepare.js; do sleep 1; done
}
prepare &

exec docker-entrypoint.sh mongod --replSet rs0 --keyFile /tmp/replica-key --bind_ip_all "$@"
