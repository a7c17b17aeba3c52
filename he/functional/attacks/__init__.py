"""What functional keys reveal: attacks by a trainer who keeps to the protocol, and what they find.

Every attack is a function of what a trainer sees (`Seen`: vectors of keys, and inner products) and of public data. None
sees what it rebuilds; `report` alone compares.
"""
