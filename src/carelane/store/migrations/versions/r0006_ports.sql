-- A listen port belongs to one source, switched on or off, until the source is deleted or takes another one; then it stays
-- reserved for the organization. The number alone is the key: a wildcard address and a specific one collide on the same port.
CREATE TABLE listen_port (
  port      int    PRIMARY KEY CHECK (port BETWEEN 1 AND 65535),
  org_id    bigint NOT NULL REFERENCES organization (id),
  source_id bigint,                                     -- NULL: reserved for the organization
  since     timestamptz NOT NULL DEFAULT now(),
  FOREIGN KEY (org_id, source_id) REFERENCES source (org_id, id)
);
CREATE INDEX listen_port_org ON listen_port (org_id);
CREATE INDEX listen_port_source ON listen_port (source_id);
ALTER TABLE listen_port ENABLE ROW LEVEL SECURITY;
ALTER TABLE listen_port FORCE ROW LEVEL SECURITY;
CREATE POLICY engine ON listen_port TO carelane_engine USING (true) WITH CHECK (true);
CREATE POLICY org ON listen_port TO carelane_web USING (org_id = current_org());
GRANT SELECT, INSERT, UPDATE, DELETE ON listen_port TO carelane_engine;
GRANT SELECT ON listen_port TO carelane_web;
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON listen_port FOR EACH STATEMENT EXECUTE FUNCTION catalogue_changed();

-- MLLP alone listened until now, on 2575 where no port was written. Of several sources on one port the oldest keeps it; the others stay and
-- are not opened. A port whose sources are all deleted is reserved for the organization that had it last.
SET LOCAL ROLE carelane_engine;
INSERT INTO listen_port (port, org_id, source_id)
SELECT DISTINCT ON (port) port, org_id, CASE WHEN deleted_at IS NULL THEN id END
FROM (SELECT id, org_id, deleted_at, CASE WHEN NOT settings ? 'port' THEN 2575 WHEN settings ->> 'port' ~ '^[0-9]{1,5}$' THEN (settings ->> 'port')::int END AS port
      FROM source WHERE transport = 'mllp') listening
WHERE port BETWEEN 1 AND 65535
ORDER BY port, deleted_at DESC NULLS FIRST, id;
RESET ROLE;
