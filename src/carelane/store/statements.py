"""The statements of the hot path: append, claim, settle. Static and set-based; each is one transaction; only inserts into the logs."""

# Message stored and queued on its lanes, or neither. The lanes' tails are locked in id order, so two appenders cannot deadlock and numbers
# become visible in the order they were given. ``IN ... IS TRUE`` keeps the planner from making a join of it, which it would walk for every row:
# the ids of what is new are hashed once, and a large batch costs in proportion. A head that is read a moment late only makes ``open_day`` earlier than it
# must be.
APPEND = """
WITH given AS (
  SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::date[], $5::timestamptz[], $6::text[], $7::boolean[], $8::bytea[], $9::bytea[],
                       $10::int[], $11::bytea[], $12::bytea[], $13::text[], $14::uuid[]) WITH ORDINALITY
    AS t(org_id, source_id, id, day, received_at, heading, readable, body, body_sha256, key_id, dedup_key, reply, tokens, replay_of, ord)),
fresh AS (
  INSERT INTO dedup (org_id, day, source_id, key, message_id)
  SELECT org_id, day, source_id, dedup_key, id FROM given g
  WHERE NOT EXISTS (SELECT FROM dedup d WHERE d.source_id = g.source_id AND d.key = g.dedup_key AND d.day >= $17::date AND d.day < $18::date)
  ORDER BY ord
  ON CONFLICT DO NOTHING RETURNING message_id),
new AS MATERIALIZED (SELECT * FROM given WHERE (id IN (SELECT message_id FROM fresh)) IS TRUE),
stored AS (
  INSERT INTO message (org_id, day, id, source_id, received_at, heading, readable, body_sha256, key_id, tokens, replay_of)
  SELECT org_id, day, id, source_id, received_at, heading::jsonb, readable, body_sha256, key_id, tokens::bigint[], replay_of FROM new),
kept AS (INSERT INTO message_body (org_id, day, id, body, reply) SELECT org_id, day, id, body, reply FROM new),
want AS (
  SELECT lane_id, ord, ($3::uuid[])[ord] AS message_id, ($4::date[])[ord] AS message_day FROM unnest($15::bigint[], $16::int[]) AS w(lane_id, ord)
  WHERE (($3::uuid[])[ord] IN (SELECT message_id FROM fresh)) IS TRUE),
locked AS (
  SELECT t.lane_id, t.org_id, t.dest_org_id, t.tail_seq, t.tail_seq = l.head_seq AS empty FROM lane_tail t JOIN lane l ON l.id = t.lane_id
  WHERE t.lane_id IN (SELECT lane_id FROM want) ORDER BY t.lane_id FOR UPDATE OF t),
numbered AS (
  SELECT l.org_id, l.dest_org_id, w.lane_id, w.message_id, w.message_day, l.empty, l.tail_seq + row_number() OVER (PARTITION BY w.lane_id ORDER BY w.ord) AS seq
  FROM want w JOIN locked l ON l.lane_id = w.lane_id),
bump AS (
  UPDATE lane_tail t SET tail_seq = n.top, arrived_at = now(), open_day = CASE WHEN n.empty THEN n.oldest ELSE least(t.open_day, n.oldest) END
  FROM (SELECT lane_id, max(seq) AS top, least(min(message_day), $18::date) AS oldest, bool_and(empty) AS empty FROM numbered GROUP BY lane_id) n
  WHERE t.lane_id = n.lane_id),
queued AS (
  INSERT INTO delivery (org_id, dest_org_id, day, lane_id, seq, message_id, message_day)
  SELECT org_id, dest_org_id, $18::date, lane_id, seq, message_id, message_day FROM numbered RETURNING lane_id, seq)
SELECT message_id, NULL::bigint AS lane_id, NULL::bigint AS tail FROM fresh
UNION ALL SELECT NULL, lane_id, max(seq) FROM queued GROUP BY lane_id
"""

STORED_REPLIES = """
SELECT w.ord, m.id, m.org_id, m.key_id, b.reply, m.body_sha256
FROM unnest($1::bigint[], $2::bytea[], $3::int[]) AS w(source_id, key, ord)
JOIN dedup d ON d.source_id = w.source_id AND d.key = w.key AND d.day >= $4::date
JOIN message m ON m.day = d.day AND m.id = d.message_id
LEFT JOIN message_body b ON b.day = d.day AND b.id = d.message_id
"""

REQUEUE = """
WITH locked AS (
  SELECT t.lane_id, t.org_id, t.dest_org_id, t.tail_seq, t.tail_seq = l.head_seq AS empty FROM lane_tail t JOIN lane l ON l.id = t.lane_id
  WHERE t.lane_id = ANY($1::bigint[]) ORDER BY t.lane_id FOR UPDATE OF t),
bump AS (
  UPDATE lane_tail t SET tail_seq = t.tail_seq + 1, arrived_at = now(),
         open_day = CASE WHEN l.empty THEN least($3::date, $4::date) ELSE least(t.open_day, $3::date, $4::date) END
  FROM locked l WHERE t.lane_id = l.lane_id)
INSERT INTO delivery (org_id, dest_org_id, day, lane_id, seq, message_id, message_day)
SELECT org_id, dest_org_id, $4::date, lane_id, tail_seq + 1, $2, $3 FROM locked RETURNING lane_id, seq
"""

# The window: up to $3 entries of a lane, cut where their bodies pass $4 bytes; the first one always comes.
CLAIM = """
SELECT w.lane_id, e.* FROM unnest($1::bigint[], $2::bigint[]) AS w(lane_id, after)
JOIN lane_tail l ON l.lane_id = w.lane_id
CROSS JOIN LATERAL (
  SELECT * FROM (
    SELECT d.seq, d.queued_at, m.id, m.org_id, m.source_id, m.received_at, coalesce(b.body, '') AS body, m.key_id,
           (m.heading->>'test')::boolean AS test, m.heading->>'format' AS format, m.heading->>'dataModel' AS data_model,
           sum(octet_length(b.body)) OVER (ORDER BY d.seq) - octet_length(b.body) AS before
    FROM (SELECT * FROM delivery WHERE lane_id = w.lane_id AND seq > w.after AND day >= coalesce(l.open_day, current_date) ORDER BY seq LIMIT $3) d
    JOIN message m ON m.day = d.message_day AND m.id = d.message_id
    LEFT JOIN message_body b ON b.day = d.message_day AND b.id = d.message_id) s
  WHERE s.before < $4 OR s.seq = w.after + 1) e
ORDER BY w.lane_id, e.seq
"""

# What whoever tried believed of the lane (epoch, head, tries) must still be so on its row, under its lock: a settlement of a former owner, and one
# that is sent again because its commit was unknown, change nothing. $12-$18 are the attempts before a lane's last one, when several went at once.
SETTLE = """
WITH v AS (
  SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::int[], $5::int[], $6::int[], $7::text[], $8::timestamptz[], $9::text[],
                       $10::int[], $11::bytea[]) AS t(lane_id, epoch, head, tries, taken, delivered, verdict, next_at, reason, took_ms, detail)),
mine AS (
  SELECT v.*, l.org_id, l.dest_org_id, v.verdict IN ('delivered', 'filtered') AS done FROM lane l JOIN v ON v.lane_id = l.id
  WHERE l.epoch = v.epoch AND l.head_seq = v.head AND l.tries = v.tries ORDER BY l.id FOR UPDATE OF l),
moved AS (
  UPDATE lane l SET
    head_seq = m.head + m.taken,
    delivered = l.delivered + m.delivered,
    delivered_at = CASE WHEN m.delivered > 0 THEN now() ELSE l.delivered_at END,
    attempts = CASE WHEN m.done THEN 0 WHEN m.taken > 0 THEN 1 ELSE l.attempts + 1 END,
    tries = CASE WHEN m.done THEN 0 WHEN m.taken > 0 THEN 1 ELSE l.tries + 1 END,
    next_attempt_at = CASE WHEN m.verdict = 'again' THEN m.next_at END,
    held = CASE WHEN m.verdict = 'held' THEN m.reason ELSE l.held END,
    failing_since = CASE WHEN m.done THEN NULL WHEN m.taken > 0 THEN now() ELSE coalesce(l.failing_since, now()) END
  FROM mine m WHERE l.id = m.lane_id
  RETURNING m.*),
last AS (
  INSERT INTO attempt (org_id, dest_org_id, day, lane_id, seq, n, at, verdict, took_ms, reason, detail)
  SELECT org_id, dest_org_id, $19::date, lane_id, head + taken + (NOT done)::int,
         CASE WHEN taken + (NOT done)::int = 1 THEN tries + 1 ELSE 1 END, now(), verdict, took_ms, reason, detail FROM moved),
before AS (
  INSERT INTO attempt (org_id, dest_org_id, day, lane_id, seq, n, at, verdict, took_ms, reason, detail)
  SELECT m.org_id, m.dest_org_id, $19::date, a.lane_id, a.seq, CASE WHEN a.seq = m.head + 1 THEN m.tries + 1 ELSE 1 END, now(), a.verdict, a.took_ms, a.reason,
         a.detail
  FROM unnest($12::bigint[], $13::bigint[], $14::bigint[], $15::text[], $16::int[], $17::text[], $18::bytea[])
    AS a(lane_id, epoch, seq, verdict, took_ms, reason, detail)
  JOIN moved m ON m.lane_id = a.lane_id AND m.epoch = a.epoch AND a.seq > m.head AND a.seq <= m.head + m.taken)
SELECT lane_id, epoch, head FROM moved
"""
