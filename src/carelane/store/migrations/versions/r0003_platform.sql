-- The platform API: keys of people, answers to creates that may be sent again, versions of what is changed.
ALTER TABLE organization ADD COLUMN version int NOT NULL DEFAULT 1,
  ADD COLUMN logo bytea CHECK (octet_length(logo) <= 131072),
  ADD COLUMN logo_type text CHECK (logo_type IN ('image/png', 'image/jpeg', 'image/webp'));
ALTER TABLE membership ADD COLUMN version int NOT NULL DEFAULT 1;
CREATE TABLE personal_key (                             -- acts as its owner, in one organization, with the roles they have at that moment
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uid          uuid NOT NULL UNIQUE,
  org_id       bigint NOT NULL,
  user_id      bigint NOT NULL,
  name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  token_sha256 bytea NOT NULL UNIQUE,
  last_four    text NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz NOT NULL,
  last_used_at timestamptz,
  revoked_at   timestamptz,
  FOREIGN KEY (org_id, user_id) REFERENCES membership (org_id, user_id) ON DELETE CASCADE
);
CREATE INDEX personal_key_owner ON personal_key (org_id, user_id);
CREATE TABLE answered (                                 -- what a create with an Idempotency-Key was answered, sealed: it may hold a new key
  org_id      bigint NOT NULL,
  user_id     bigint NOT NULL,
  key_sha256  bytea NOT NULL,
  uid         uuid NOT NULL,
  fingerprint bytea NOT NULL,                           -- of method, path and body: the same key for another request is an error
  status      int,
  body        bytea,
  body_key    int,
  created_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (org_id, user_id, key_sha256),
  FOREIGN KEY (org_id, user_id) REFERENCES membership (org_id, user_id) ON DELETE CASCADE
);
CREATE INDEX answered_at ON answered (created_at);
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['personal_key', 'answered'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY engine ON %I TO carelane_engine USING (true) WITH CHECK (true)', t);
    EXECUTE format('CREATE POLICY org ON %I TO carelane_web USING (org_id = current_org())', t);
  END LOOP;
END $$;
GRANT SELECT (uid, org_id, user_id, name, last_four, created_at, expires_at, last_used_at, revoked_at) ON personal_key TO carelane_web;
GRANT SELECT, INSERT, UPDATE ON personal_key TO carelane_engine;
GRANT SELECT, INSERT, UPDATE, DELETE ON answered TO carelane_engine;
