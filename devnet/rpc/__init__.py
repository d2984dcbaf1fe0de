"""The node's HTTP API as functions: from a request's parameters to the JSON that a node answers.

Source of shapes and texts: java-tron's `Wallet.java` and its servlets. What is not found is `{}`; a
failure is an `{"Error": …}` under status 200.
"""
