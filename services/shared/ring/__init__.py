"""The hash ring: which storage nodes hold which file. Pure: decisions only, no I/O.

- `placement`: a file's key, its hash, its partition.
- `table`: the published assignment of partitions to nodes.
- `builder`: makes the next table from the nodes and the previous table.
- `apportion`: how many slots of the table each zone and node should get.
- `state`: the cluster's record in etcd.
- `view`: state and tables together, and what the read and write rules need to know of them.
"""
