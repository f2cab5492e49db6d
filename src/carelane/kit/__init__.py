"""Small tools that know nothing of health care or of Carelane.

Inventory (look here before writing a helper):

- ``answering`` the listening end of a framed connection: frames in, answers out in order, no more kept than there is room for
- ``asking``   the calling end of a framed connection: one body out, one answer back
- ``batcher``  natural group commit: whatever queued while the last batch was in flight goes into the next
- ``cache``    a cache bounded by what its values weigh
- ``clock``    the only place that reads the time or sleeps
- ``entropy``  random bytes fetched in blocks, for ids and nonces
- ``framing``  cuts VT … FS CR frames out of a byte stream
- ``hosts``    what can be a host name, an IP address, or an address to listen on
- ``http``     one guarded HTTP client for every outbound call (address guard, no redirects, size and time caps)
- ``idempotency``  reads the Idempotency-Key header
- ``ids``      time-ordered UUIDs and prefixed public ids
- ``locks``    an exclusive lock on a folder, released by the kernel when its holder dies
- ``room``     bytes that may wait, shared by all listeners, given in the order of asking
- ``seal``     authenticated encryption (AES-256-GCM), key wrapping and keyed hashes
- ``sockets``  notices that the other side of a long-lived socket is gone
"""
