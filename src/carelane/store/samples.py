"""Once a minute, where each lane stands: what pages draw sparklines and rates from, so that no page counts messages."""

from carelane.store.database import Database

_TAKE = """
INSERT INTO lane_sample (lane_id, minute, org_id, dest_org_id, tail_seq, head_seq)
SELECT l.id, date_trunc('minute', now()), l.org_id, l.dest_org_id, l.tail_seq, l.head_seq FROM lane_now l
LEFT JOIN LATERAL (SELECT tail_seq, head_seq FROM lane_sample s WHERE s.lane_id = l.id ORDER BY s.minute DESC LIMIT 1) last ON true
WHERE greatest(l.arrived_at, l.delivered_at) > now() - interval '10 minutes' AND (l.tail_seq, l.head_seq) IS DISTINCT FROM (last.tail_seq, last.head_seq)
ON CONFLICT DO NOTHING
"""
_FORGET = """
DELETE FROM lane_sample s WHERE s.minute < now() - interval '26 hours'
AND EXISTS (SELECT 1 FROM lane_sample n WHERE n.lane_id = s.lane_id AND n.minute > s.minute)
"""


async def take_samples(database: Database) -> None:
    """Write a sample of every lane that moved since its last one; forget those older than a day, but never the last. Any node may do it."""
    await database.engine.execute(_TAKE)
    await database.engine.execute(_FORGET)
