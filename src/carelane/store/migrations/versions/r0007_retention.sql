-- Days are dropped whole. What a legal hold needs moves, before its day goes, into a partition that holds only the past:
-- readers find it where it was, and a day that has no partition yet is still refused, and made.
CREATE TABLE legal_hold (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  org_id     bigint NOT NULL REFERENCES organization (id),
  reason     text NOT NULL CHECK (length(reason) BETWEEN 1 AND 2000),
  placed_by  text NOT NULL,
  placed_at  timestamptz NOT NULL DEFAULT now(),
  lifted_by  text,
  lifted_at  timestamptz
);
CREATE UNIQUE INDEX legal_hold_live ON legal_hold (org_id) WHERE lifted_at IS NULL;
ALTER TABLE legal_hold ENABLE ROW LEVEL SECURITY;
ALTER TABLE legal_hold FORCE ROW LEVEL SECURITY;
CREATE POLICY engine ON legal_hold TO carelane_engine USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON legal_hold TO carelane_engine;

DO $$
DECLARE parent text;
BEGIN
  FOREACH parent IN ARRAY ARRAY['message', 'message_body', 'delivery', 'attempt', 'inbox'] LOOP
    EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', parent || '_kept', parent);
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT only_the_past CHECK (day < CURRENT_DATE - 7)', parent || '_kept');
  END LOOP;
END $$;
CREATE INDEX dead_letter_day ON dead_letter (message_day);
