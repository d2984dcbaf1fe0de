"""The roles that tokens carry."""

from enum import StrEnum


class Role(StrEnum):
    """Who a token speaks for."""

    USER = "USER"
    NODE_OPERATOR = "NODE_OPERATOR"
    APPROVER = "APPROVER"
    SERVICE = "SERVICE"
    ADMIN = "ADMIN"
    SUPER_ADMIN = "SUPER_ADMIN"
