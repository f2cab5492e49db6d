-- Roles. The owner (whoever migrates) never serves a request; web serves people; engine runs the journey.
DO $$
DECLARE role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['carelane_web', 'carelane_engine'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT NOBYPASSRLS', role_name);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- another database of this server made it at the same moment
      END;
    END IF;
    -- the owner may become these roles, but does not inherit what they may see
    EXECUTE format('GRANT %I TO CURRENT_USER', role_name)
      || CASE WHEN current_setting('server_version_num')::int >= 160000 THEN ' WITH INHERIT FALSE, SET TRUE' ELSE '' END;
  END LOOP;
END $$;
GRANT USAGE ON SCHEMA public TO carelane_web, carelane_engine;

CREATE FUNCTION current_org() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT nullif(current_setting('carelane.org', true), '')::bigint $$;

-- People -----------------------------------------------------------------------------------------------------------
CREATE TABLE organization (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uid         uuid NOT NULL UNIQUE,
  slug        text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9-]{1,62}$'),
  name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  kind        text NOT NULL CHECK (kind IN ('health-tech vendor', 'provider', 'payer', 'lab', 'pharmacy', 'public health', 'device maker', 'built-in')),
  profile     jsonb NOT NULL DEFAULT '{}',
  listed      boolean NOT NULL DEFAULT false,
  disabled_at timestamptz,
  created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE user_account (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uid           uuid NOT NULL UNIQUE,
  email         text NOT NULL CHECK (email = lower(email)) UNIQUE,
  name          text NOT NULL,
  password_hash text NOT NULL,
  disabled_at   timestamptz,
  created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE membership (
  org_id     bigint NOT NULL REFERENCES organization (id),
  user_id    bigint NOT NULL REFERENCES user_account (id),
  role       text NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
  payloads   boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (org_id, user_id)
);
CREATE TABLE environment_role (
  org_id      bigint NOT NULL,
  user_id     bigint NOT NULL,
  environment text   NOT NULL CHECK (environment IN ('development', 'staging', 'production')),
  role        text   NOT NULL CHECK (role IN ('engineer', 'support', 'viewer')),
  PRIMARY KEY (org_id, user_id, environment),
  FOREIGN KEY (org_id, user_id) REFERENCES membership (org_id, user_id) ON DELETE CASCADE
);
CREATE TABLE sign_in (
  token_sha256 bytea PRIMARY KEY,
  user_id      bigint NOT NULL REFERENCES user_account (id),
  org_id       bigint NOT NULL REFERENCES organization (id),
  created_at   timestamptz NOT NULL DEFAULT now(),
  seen_at      timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz NOT NULL
);

-- Keys -------------------------------------------------------------------------------------------------------------
CREATE TABLE data_key (
  org_id     bigint NOT NULL REFERENCES organization (id),
  id         int    NOT NULL,
  purpose    text   NOT NULL CHECK (purpose IN ('body', 'search')),
  wrapped    bytea,                       -- sealed with the master key; NULL once shredded
  master_id  text   NOT NULL,             -- which master key wrapped it
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (org_id, id)
);

-- Catalogue --------------------------------------------------------------------------------------------------------
CREATE TABLE environment (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uid        uuid NOT NULL UNIQUE,
  org_id     bigint NOT NULL REFERENCES organization (id),
  kind       text NOT NULL CHECK (kind IN ('development', 'staging', 'production')),
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (org_id, kind)
);
CREATE TABLE source (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uid         uuid NOT NULL UNIQUE,
  org_id      bigint NOT NULL,
  environment text NOT NULL,
  name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  transport   text NOT NULL,
  format      text NOT NULL,
  settings    jsonb NOT NULL DEFAULT '{}',
  secrets     bytea,                      -- sealed JSON of the secret settings
  secrets_key int,
  enabled     boolean NOT NULL DEFAULT true,
  version     int NOT NULL DEFAULT 1,
  created_at  timestamptz NOT NULL DEFAULT now(),
  deleted_at  timestamptz,
  FOREIGN KEY (org_id, environment) REFERENCES environment (org_id, kind),
  UNIQUE (org_id, id),
  UNIQUE (org_id, environment, id)
);
CREATE UNIQUE INDEX source_name ON source (org_id, environment, lower(name)) WHERE deleted_at IS NULL;
CREATE TABLE destination (LIKE source INCLUDING ALL EXCLUDING INDEXES EXCLUDING IDENTITY);
ALTER TABLE destination
  ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY, ADD PRIMARY KEY (id), ADD UNIQUE (uid),
  ADD COLUMN verified_at timestamptz,
  ADD FOREIGN KEY (org_id, environment) REFERENCES environment (org_id, kind),
  ADD UNIQUE (org_id, id), ADD UNIQUE (org_id, environment, id);
CREATE UNIQUE INDEX destination_name ON destination (org_id, environment, lower(name)) WHERE deleted_at IS NULL;
CREATE TABLE api_key (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uid          uuid NOT NULL UNIQUE,
  org_id       bigint NOT NULL,
  source_id    bigint NOT NULL,
  name         text NOT NULL,
  token_sha256 bytea NOT NULL UNIQUE,
  last_four    text NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  last_used_at timestamptz,
  revoked_at   timestamptz,
  FOREIGN KEY (org_id, source_id) REFERENCES source (org_id, id)
);
CREATE TABLE connection (
  id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uid              uuid NOT NULL UNIQUE,
  org_id           bigint NOT NULL REFERENCES organization (id),     -- who asked
  partner_org_id   bigint NOT NULL REFERENCES organization (id),     -- who was asked
  org_low          bigint GENERATED ALWAYS AS (least(org_id, partner_org_id)) STORED,
  org_high         bigint GENERATED ALWAYS AS (greatest(org_id, partner_org_id)) STORED,
  state            text NOT NULL DEFAULT 'requested'
                   CHECK (state IN ('requested', 'accepted', 'connected', 'suspended', 'ended', 'declined', 'withdrawn')),
  purpose          text NOT NULL DEFAULT '',
  note             text NOT NULL DEFAULT '',
  environments     text[] NOT NULL DEFAULT '{development}',
  target_date      date,
  requested_by     bigint REFERENCES user_account (id),
  requested_at     timestamptz NOT NULL DEFAULT now(),
  decided_by       bigint REFERENCES user_account (id),
  decided_at       timestamptz,
  decision_reason  text,
  version          int NOT NULL DEFAULT 1,
  CHECK (org_id <> partner_org_id),
  UNIQUE (id, org_low, org_high)
);
CREATE UNIQUE INDEX connection_live ON connection (org_low, org_high) WHERE state NOT IN ('ended', 'declined', 'withdrawn');
CREATE TABLE agreement (                                -- what both sides signed off, one row a data model and direction
  connection_id  bigint NOT NULL REFERENCES connection (id),
  org_id         bigint NOT NULL REFERENCES organization (id),       -- who sends
  partner_org_id bigint NOT NULL REFERENCES organization (id),       -- who receives
  data_model     text   NOT NULL,
  signed_by      bigint REFERENCES user_account (id),
  signed_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (connection_id, org_id, partner_org_id, data_model)
);
CREATE TABLE subscription (
  id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uid                uuid NOT NULL UNIQUE,
  name               text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  connection_id      bigint,
  org_id             bigint NOT NULL,                    -- the source's organization
  dest_org_id        bigint NOT NULL,
  org_low            bigint GENERATED ALWAYS AS (least(org_id, dest_org_id)) STORED,
  org_high           bigint GENERATED ALWAYS AS (greatest(org_id, dest_org_id)) STORED,
  environment        text NOT NULL,
  source_id          bigint NOT NULL,
  destination_id     bigint NOT NULL,
  data_model         text NOT NULL,
  working_model      text NOT NULL DEFAULT 'datamodel' CHECK (working_model IN ('datamodel', 'fhir', 'native')),
  state              text NOT NULL DEFAULT 'proposed' CHECK (state IN ('proposed', 'active', 'paused', 'ended')),
  retry_for          interval NOT NULL DEFAULT interval '7 days' CHECK (retry_for >= interval '1 minute'),
  created_at         timestamptz NOT NULL DEFAULT now(),
  activated_at       timestamptz,
  ended_at           timestamptz,
  version            int NOT NULL DEFAULT 1,
  -- one environment for both ends: the same column in both keys
  FOREIGN KEY (org_id, environment, source_id) REFERENCES source (org_id, environment, id),
  FOREIGN KEY (dest_org_id, environment, destination_id) REFERENCES destination (org_id, environment, id),
  FOREIGN KEY (connection_id, org_low, org_high) REFERENCES connection (id, org_low, org_high),
  FOREIGN KEY (connection_id, org_id, dest_org_id, data_model) REFERENCES agreement (connection_id, org_id, partner_org_id, data_model),
  CONSTRAINT two_parties_need_a_connection CHECK ((org_id = dest_org_id) = (connection_id IS NULL)),
  UNIQUE (org_id, id)
);
CREATE UNIQUE INDEX subscription_live ON subscription (source_id, destination_id, data_model) WHERE state <> 'ended';

-- The snapshot in memory follows these tables: each change bumps a version and rings.
CREATE TABLE catalogue_version (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), version bigint NOT NULL DEFAULT 0);
INSERT INTO catalogue_version DEFAULT VALUES;
CREATE FUNCTION catalogue_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
  UPDATE catalogue_version SET version = version + 1;
  PERFORM pg_notify('carelane_catalogue', '');
  RETURN NULL;
END $$;
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON source FOR EACH STATEMENT EXECUTE FUNCTION catalogue_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON destination FOR EACH STATEMENT EXECUTE FUNCTION catalogue_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON subscription FOR EACH STATEMENT EXECUTE FUNCTION catalogue_changed();
CREATE TRIGGER changed AFTER INSERT OR DELETE ON api_key FOR EACH STATEMENT EXECUTE FUNCTION catalogue_changed();
CREATE TRIGGER revoked AFTER UPDATE OF revoked_at ON api_key FOR EACH STATEMENT EXECUTE FUNCTION catalogue_changed();

-- The two logs and the cursors -------------------------------------------------------------------------------------
CREATE TABLE lane (
  org_id          bigint  NOT NULL,               -- the source's organization
  dest_org_id     bigint  NOT NULL,
  id              bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  subscription_id bigint  NOT NULL,
  slot            int     NOT NULL DEFAULT 0,
  shard           int     NOT NULL GENERATED ALWAYS AS ((id % 1024)::int) STORED,
  epoch           bigint  NOT NULL DEFAULT 0,     -- the fence: copied from shard_lease at take-over
  tail_seq        bigint  NOT NULL DEFAULT 0,     -- last number given out
  head_seq        bigint  NOT NULL DEFAULT 0,     -- last number settled; pending = tail_seq - head_seq
  head_day        date,                           -- not later than the day of any open delivery or its message; NULL when none
  attempts        int     NOT NULL DEFAULT 0,     -- of the head since it was last released: decides the wait
  tries           int     NOT NULL DEFAULT 0,     -- of the head ever: numbers its attempt rows
  next_attempt_at timestamptz,
  held            text,                           -- why a rule stopped it
  paused          text,                           -- who stopped it on purpose
  failing_since   timestamptz,                    -- first failed attempt of the head
  UNIQUE (subscription_id, slot),
  CHECK (head_seq <= tail_seq)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX lane_shard ON lane (shard);

CREATE TABLE message (
  org_id      bigint      NOT NULL,
  day         date        NOT NULL,               -- UTC day of birth written in the id: the partition
  id          uuid        NOT NULL,
  source_id   bigint      NOT NULL,
  received_at timestamptz NOT NULL,
  heading     jsonb       NOT NULL,
  readable    boolean     NOT NULL DEFAULT true,
  body        bytea       NOT NULL,               -- as received, sealed
  body_sha256 bytea       NOT NULL,
  key_id      int         NOT NULL,
  reply       bytea,                              -- sealed; given again to a duplicate
  tokens      bigint[]    NOT NULL DEFAULT '{}',  -- keyed hashes of patient ids, order numbers, control id
  replay_of   uuid,
  PRIMARY KEY (day, id)
) PARTITION BY RANGE (day);
ALTER TABLE message ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX message_org ON message (org_id, id);
CREATE INDEX message_tokens ON message USING gin (tokens) WITH (fastupdate = on, gin_pending_list_limit = 8192);

CREATE TABLE delivery (
  org_id      bigint NOT NULL,
  dest_org_id bigint NOT NULL,
  day         date   NOT NULL,                    -- the day it was queued
  lane_id     bigint NOT NULL,
  seq         bigint NOT NULL,
  message_id  uuid   NOT NULL,
  message_day date   NOT NULL,
  queued_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (lane_id, seq, day)
) PARTITION BY RANGE (day);
CREATE INDEX delivery_message ON delivery (message_id);

CREATE TABLE attempt (
  org_id      bigint NOT NULL,
  dest_org_id bigint NOT NULL,
  day         date   NOT NULL,
  lane_id     bigint NOT NULL,
  seq         bigint NOT NULL,
  n           int    NOT NULL,
  at          timestamptz NOT NULL,
  verdict     text   NOT NULL CHECK (verdict IN ('delivered', 'filtered', 'again', 'held')),
  took_ms     int,
  reason      text,
  detail      bytea,                              -- sealed: reply summary, issues, unmapped
  PRIMARY KEY (lane_id, seq, n, day)
) PARTITION BY RANGE (day);

CREATE TABLE dead_letter (
  org_id bigint NOT NULL, dest_org_id bigint NOT NULL, lane_id bigint NOT NULL, seq bigint NOT NULL,
  message_id uuid NOT NULL, message_day date NOT NULL, reason text NOT NULL, at timestamptz NOT NULL DEFAULT now(), by text NOT NULL,
  PRIMARY KEY (lane_id, seq)
);

CREATE TABLE dedup (
  org_id bigint NOT NULL, day date NOT NULL, source_id bigint NOT NULL,
  key    bytea NOT NULL,
  message_id uuid NOT NULL,
  PRIMARY KEY (source_id, key, day)
) PARTITION BY RANGE (day);

CREATE TABLE inbox (                              -- what the built-in inbox destination received: a log one can look into
  org_id bigint NOT NULL, day date NOT NULL, destination_id bigint NOT NULL, delivery_id text NOT NULL,
  message_id uuid NOT NULL, at timestamptz NOT NULL DEFAULT now(), content_type text NOT NULL, body bytea NOT NULL, key_id int NOT NULL,
  PRIMARY KEY (destination_id, delivery_id, day)
) PARTITION BY RANGE (day);
CREATE INDEX inbox_recent ON inbox (destination_id, at);

CREATE TABLE shard_lease (
  shard int PRIMARY KEY, owner text, epoch bigint NOT NULL DEFAULT 0, expires_at timestamptz, quiet_until timestamptz
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
INSERT INTO shard_lease (shard) SELECT generate_series(0, 1023);

CREATE TABLE audit (
  org_id bigint NOT NULL, n bigint NOT NULL, at timestamptz NOT NULL, actor text NOT NULL, action text NOT NULL,
  subject text NOT NULL, body jsonb NOT NULL, prev bytea NOT NULL, hash bytea NOT NULL,
  PRIMARY KEY (org_id, n)
);

-- Day partitions: made ahead, dropped whole. The owner alone may call these.
CREATE FUNCTION ensure_partitions(first date, last date) RETURNS int LANGUAGE plpgsql AS $$
DECLARE parent text; d date; made int := 0; child text;
BEGIN
  PERFORM pg_advisory_xact_lock(7263001);
  FOREACH parent IN ARRAY ARRAY['message', 'delivery', 'attempt', 'dedup', 'inbox'] LOOP
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
REVOKE ALL ON FUNCTION ensure_partitions FROM PUBLIC;

-- Row-level security: forced on every table with an organization; nothing is visible until an organization is set. ---
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['organization', 'membership', 'environment_role', 'data_key', 'environment', 'source', 'destination', 'api_key', 'connection',
                           'agreement', 'subscription', 'lane', 'message', 'delivery', 'attempt', 'dead_letter', 'dedup', 'inbox', 'audit'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY engine ON %I TO carelane_engine USING (true) WITH CHECK (true)', t);
  END LOOP;
  -- only one party: its own organization
  FOREACH t IN ARRAY ARRAY['membership', 'environment_role', 'environment', 'api_key', 'inbox', 'audit'] LOOP
    EXECUTE format('CREATE POLICY org ON %I TO carelane_web USING (org_id = current_org()) WITH CHECK (org_id = current_org())', t);
  END LOOP;
  -- two parties see it, either end
  FOREACH t IN ARRAY ARRAY['subscription', 'lane', 'delivery', 'attempt', 'dead_letter'] LOOP
    EXECUTE format('CREATE POLICY org ON %I TO carelane_web USING (current_org() IN (org_id, dest_org_id))', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['connection', 'agreement'] LOOP
    EXECUTE format('CREATE POLICY org ON %I TO carelane_web USING (current_org() IN (org_id, partner_org_id))', t);
  END LOOP;
END $$;
CREATE POLICY org ON organization TO carelane_web USING (
  id = current_org() OR listed OR EXISTS (SELECT 1 FROM connection c WHERE organization.id IN (c.org_id, c.partner_org_id)));
CREATE POLICY org ON source TO carelane_web USING (
  org_id = current_org() OR EXISTS (SELECT 1 FROM subscription s WHERE s.source_id = source.id)) WITH CHECK (org_id = current_org());
CREATE POLICY org ON destination TO carelane_web USING (
  org_id = current_org() OR EXISTS (SELECT 1 FROM subscription s WHERE s.destination_id = destination.id)) WITH CHECK (org_id = current_org());
-- a receiver sees the heading of what was queued for it; the body stays sealed with the sender's key
CREATE POLICY org ON message TO carelane_web USING (
  org_id = current_org() OR EXISTS (SELECT 1 FROM delivery d WHERE d.message_id = message.id AND d.dest_org_id = current_org()));

GRANT SELECT ON organization, membership, environment_role, environment, api_key, connection, agreement, subscription, lane, message,
  delivery, attempt, dead_letter, inbox, audit, catalogue_version TO carelane_web;
GRANT SELECT (id, uid, org_id, environment, name, transport, format, settings, enabled, version, created_at, deleted_at) ON source, destination TO carelane_web;
GRANT SELECT ON organization, environment, source, destination, api_key, connection, agreement, subscription, data_key, membership,
  environment_role, user_account, catalogue_version TO carelane_engine;
GRANT SELECT, INSERT ON message, delivery, attempt, dedup, dead_letter, inbox, audit TO carelane_engine;   -- append-only for us too
GRANT SELECT, INSERT, UPDATE ON lane TO carelane_engine;
GRANT SELECT, UPDATE ON shard_lease TO carelane_engine;
GRANT INSERT ON data_key, organization, environment, source, destination, api_key, connection, agreement, subscription, membership,
  environment_role, user_account TO carelane_engine;
GRANT UPDATE ON source, destination, connection, subscription, organization, user_account, membership TO carelane_engine;
GRANT UPDATE (last_used_at, revoked_at) ON api_key TO carelane_engine;
GRANT SELECT, INSERT, UPDATE, DELETE ON sign_in TO carelane_engine;
