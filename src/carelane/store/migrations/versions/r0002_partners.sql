-- What a request asks for, and what happens to queued messages when two organizations stop.
ALTER TABLE connection
  ADD COLUMN on_stop text NOT NULL DEFAULT 'hold' CHECK (on_stop IN ('hold', 'drain'));
CREATE INDEX connection_org ON connection (org_id);
CREATE INDEX connection_partner ON connection (partner_org_id);
CREATE TABLE connection_offer (                         -- what was asked for, one row a data model and direction
  connection_id  bigint NOT NULL REFERENCES connection (id),
  org_id         bigint NOT NULL REFERENCES organization (id),       -- who would send
  partner_org_id bigint NOT NULL REFERENCES organization (id),       -- who would receive
  data_model     text   NOT NULL,
  PRIMARY KEY (connection_id, org_id, partner_org_id, data_model)
);
-- A record of what was agreed names people as they were called then.
ALTER TABLE agreement ADD COLUMN asked_by bigint REFERENCES user_account (id), ADD COLUMN asked_name text NOT NULL DEFAULT '', ADD COLUMN signed_name text NOT NULL DEFAULT '';
ALTER TABLE connection ADD COLUMN requested_name text NOT NULL DEFAULT '', ADD COLUMN decided_name text NOT NULL DEFAULT '';

-- Draining takes nothing new and delivers what is queued.
ALTER TABLE subscription
  ADD COLUMN drain boolean NOT NULL DEFAULT false,
  ADD COLUMN proposed_by_org bigint REFERENCES organization (id);
CREATE INDEX subscription_source ON subscription (org_id);
CREATE INDEX subscription_destination ON subscription (dest_org_id);
CREATE INDEX subscription_connection ON subscription (connection_id);
CREATE TRIGGER stopped AFTER UPDATE OF state, on_stop ON connection FOR EACH STATEMENT EXECUTE FUNCTION catalogue_changed();

ALTER TABLE user_account ADD COLUMN password_changed_at timestamptz;
CREATE TABLE invitation (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uid          uuid NOT NULL UNIQUE,
  org_id       bigint NOT NULL REFERENCES organization (id),
  email        text NOT NULL CHECK (email = lower(email)),
  role         text NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
  environments jsonb NOT NULL DEFAULT '{}',             -- environment → engineer, support or viewer
  payloads     boolean NOT NULL DEFAULT false,
  token_sha256 bytea NOT NULL UNIQUE,
  invited_by   bigint REFERENCES user_account (id),
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz NOT NULL,
  accepted_at  timestamptz,
  revoked_at   timestamptz
);
CREATE UNIQUE INDEX invitation_open ON invitation (org_id, email) WHERE accepted_at IS NULL AND revoked_at IS NULL;

CREATE TABLE draft (                                    -- an endpoint half way through its wizard
  uid         uuid PRIMARY KEY,
  org_id      bigint NOT NULL REFERENCES organization (id),
  kind        text NOT NULL CHECK (kind IN ('source', 'destination')),
  environment text NOT NULL CHECK (environment IN ('development', 'staging', 'production')),
  name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  transport   text NOT NULL,
  format      text NOT NULL,
  settings    jsonb NOT NULL DEFAULT '{}',
  secrets     bytea,
  secrets_key int,
  updated_at  timestamptz NOT NULL DEFAULT now()
);

-- Pages read figures from here and never count messages.
ALTER TABLE lane ADD COLUMN arrived_at timestamptz, ADD COLUMN delivered_at timestamptz;
CREATE TABLE lane_sample (
  lane_id     bigint NOT NULL REFERENCES lane (id),
  minute      timestamptz NOT NULL,
  org_id      bigint NOT NULL,
  dest_org_id bigint NOT NULL,
  tail_seq    bigint NOT NULL,
  head_seq    bigint NOT NULL,
  PRIMARY KEY (lane_id, minute)
);
CREATE INDEX lane_sample_minute ON lane_sample (minute);

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['connection_offer', 'invitation', 'draft', 'lane_sample'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY engine ON %I TO carelane_engine USING (true) WITH CHECK (true)', t);
  END LOOP;
END $$;
ALTER TABLE user_account ENABLE ROW LEVEL SECURITY;
ALTER TABLE user_account FORCE ROW LEVEL SECURITY;
CREATE POLICY engine ON user_account TO carelane_engine USING (true) WITH CHECK (true);
CREATE POLICY org ON user_account TO carelane_web USING (EXISTS (SELECT 1 FROM membership m WHERE m.user_id = user_account.id));
CREATE POLICY org ON connection_offer TO carelane_web USING (current_org() IN (org_id, partner_org_id));
CREATE POLICY org ON invitation TO carelane_web USING (org_id = current_org());
CREATE POLICY org ON draft TO carelane_web USING (org_id = current_org());
CREATE POLICY org ON lane_sample TO carelane_web USING (current_org() IN (org_id, dest_org_id));

-- Partners see each other's profile, and each other's endpoints by name, while a connection is alive.
CREATE FUNCTION partners(states text[]) RETURNS bigint[] LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
  SELECT coalesce(array_agg(CASE WHEN org_id = current_org() THEN partner_org_id ELSE org_id END), '{}')
  FROM connection WHERE current_org() IN (org_id, partner_org_id) AND state = ANY(states) $$;
CREATE POLICY definer ON connection TO CURRENT_USER USING (true);
DROP POLICY org ON organization;
CREATE POLICY org ON organization TO carelane_web USING (
  id = current_org() OR listed
  OR id = ANY((SELECT partners('{requested,accepted,connected,suspended,ended,declined,withdrawn}'))::bigint[]));
DROP POLICY org ON source;
CREATE POLICY org ON source TO carelane_web USING (
  org_id = current_org() OR org_id = ANY((SELECT partners('{accepted,connected,suspended}'))::bigint[])
  OR EXISTS (SELECT 1 FROM subscription s WHERE s.source_id = source.id)) WITH CHECK (org_id = current_org());
DROP POLICY org ON destination;
CREATE POLICY org ON destination TO carelane_web USING (
  org_id = current_org() OR org_id = ANY((SELECT partners('{accepted,connected,suspended}'))::bigint[])
  OR EXISTS (SELECT 1 FROM subscription s WHERE s.destination_id = destination.id)) WITH CHECK (org_id = current_org());

GRANT SELECT ON connection_offer, lane_sample TO carelane_web;
GRANT SELECT (uid, org_id, email, role, environments, payloads, invited_by, created_at, expires_at, accepted_at, revoked_at) ON invitation TO carelane_web;
GRANT SELECT (uid, org_id, kind, environment, name, transport, format, settings, updated_at) ON draft TO carelane_web;
GRANT SELECT (id, uid, email, name, disabled_at) ON user_account TO carelane_web;
GRANT SELECT (verified_at) ON destination TO carelane_web;
GRANT SELECT, INSERT ON connection_offer TO carelane_engine;
GRANT SELECT, INSERT, DELETE ON lane_sample TO carelane_engine;
GRANT SELECT, INSERT, UPDATE ON invitation TO carelane_engine;
GRANT SELECT, INSERT, UPDATE, DELETE ON draft TO carelane_engine;
GRANT UPDATE, DELETE ON membership, environment_role TO carelane_engine;
