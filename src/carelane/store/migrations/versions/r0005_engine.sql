-- Row-level security holds for the owner too: what this step reads is opened to it while it runs.
DO $$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['lane', 'subscription', 'dead_letter', 'attempt', 'message'] LOOP EXECUTE format('ALTER TABLE %I NO FORCE ROW LEVEL SECURITY', t); END LOOP;
END $$;

-- Arrivals and settlements must not wait for each other's commit: each has a row of its own. ------------------------
CREATE TABLE lane_tail (
  lane_id     bigint PRIMARY KEY REFERENCES lane (id),
  org_id      bigint NOT NULL,
  dest_org_id bigint NOT NULL,
  tail_seq    bigint NOT NULL DEFAULT 0,          -- last number given out; pending = tail_seq - lane.head_seq
  open_day    date,                               -- not later than the day of any open delivery or of its message
  arrived_at  timestamptz
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
INSERT INTO lane_tail (lane_id, org_id, dest_org_id, tail_seq, open_day, arrived_at)
SELECT id, org_id, dest_org_id, tail_seq, head_day, arrived_at FROM lane;

-- Lanes of one destination share a shard, so that one node holds its connections, its limits and its rate.
ALTER TABLE lane
  ADD COLUMN destination_id bigint,
  ADD COLUMN delivered bigint NOT NULL DEFAULT 0; -- how many were delivered: not the filtered, not the skipped
UPDATE lane SET destination_id = s.destination_id FROM subscription s WHERE s.id = lane.subscription_id;
UPDATE lane l SET delivered = l.head_seq
  - (SELECT count(*) FROM dead_letter d WHERE d.lane_id = l.id)
  - (SELECT count(*) FROM attempt a WHERE a.lane_id = l.id AND a.verdict = 'filtered');
DROP INDEX lane_shard;
ALTER TABLE lane DROP COLUMN tail_seq, DROP COLUMN head_day, DROP COLUMN arrived_at, DROP COLUMN shard;
ALTER TABLE lane
  ALTER COLUMN destination_id SET NOT NULL,
  ADD COLUMN shard int NOT NULL GENERATED ALWAYS AS ((destination_id % 1024)::int) STORED;
CREATE INDEX lane_shard ON lane (shard);
CREATE VIEW lane_now WITH (security_invoker = true) AS
  SELECT l.*, t.tail_seq, t.open_day, t.arrived_at FROM lane l JOIN lane_tail t ON t.lane_id = l.id;

-- Who runs, and until when its leases hold; which node owns which shard. ---------------------------------------------
CREATE TABLE node (
  name       text PRIMARY KEY,
  started_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
ALTER TABLE shard_lease DROP COLUMN expires_at, DROP COLUMN quiet_until,
  ADD COLUMN cut_at timestamptz;                  -- an owner that went without a word may have begun a send until then
UPDATE shard_lease SET owner = NULL;
CREATE TABLE chore (                              -- upkeep that one node at a time does
  name    text PRIMARY KEY,
  owner   text,
  until   timestamptz,
  done_at timestamptz
);

-- Bodies may be kept for a shorter time than what is told about them. -----------------------------------------------
CREATE TABLE message_body (
  org_id bigint NOT NULL,
  day    date   NOT NULL,
  id     uuid   NOT NULL,
  body   bytea  NOT NULL,                         -- as received, sealed
  reply  bytea,                                   -- sealed; given again to a duplicate
  PRIMARY KEY (day, id)
) PARTITION BY RANGE (day);
ALTER TABLE message_body ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE OR REPLACE FUNCTION ensure_partitions(first date, last date) RETURNS int LANGUAGE plpgsql AS $$
DECLARE parent text; d date; made int := 0; child text;
BEGIN
  PERFORM pg_advisory_xact_lock(7263001);
  FOREACH parent IN ARRAY ARRAY['message', 'message_body', 'delivery', 'attempt', 'dedup', 'inbox'] LOOP
    FOR d IN SELECT generate_series(first, last, interval '1 day')::date LOOP
      child := parent || '_' || to_char(d, 'YYYYMMDD');
      IF to_regclass(child) IS NULL THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', child, parent, d, d + 1);
        made := made + 1;
      END IF;
    END LOOP;
  END LOOP;
  RETURN made;
END $$;
DO $$
DECLARE child text; d date;
BEGIN
  FOR child IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'message'::regclass LOOP
    d := to_date(right(child, 8), 'YYYYMMDD');
    EXECUTE format('CREATE TABLE %I PARTITION OF message_body FOR VALUES FROM (%L) TO (%L)', 'message_body_' || right(child, 8), d, d + 1);
    EXECUTE format('INSERT INTO message_body (org_id, day, id, body, reply) SELECT org_id, day, id, body, reply FROM %I', child);
  END LOOP;
END $$;
ALTER TABLE message DROP COLUMN body, DROP COLUMN reply;

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['lane_tail', 'message_body'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY engine ON %I TO carelane_engine USING (true) WITH CHECK (true)', t);
  END LOOP;
END $$;
CREATE POLICY org ON lane_tail TO carelane_web USING (current_org() IN (org_id, dest_org_id));
CREATE POLICY org ON message_body TO carelane_web USING (org_id = current_org());
GRANT SELECT ON lane_tail, lane_now, message_body TO carelane_web;
GRANT SELECT, INSERT, UPDATE ON lane_tail TO carelane_engine;
GRANT SELECT ON lane_now TO carelane_engine;
GRANT SELECT, INSERT ON message_body TO carelane_engine;
GRANT SELECT, INSERT, UPDATE, DELETE ON node TO carelane_engine;
GRANT SELECT, INSERT, UPDATE ON chore TO carelane_engine;

DO $$ DECLARE t text; BEGIN
  FOREACH t IN ARRAY ARRAY['lane', 'subscription', 'dead_letter', 'attempt', 'message'] LOOP EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t); END LOOP;
END $$;
