-- Devices and modules that prove themselves with certificates. A certificate is base64 of its DER; a thumbprint is hex digits.

-- A group whose `attestation` is 'x509' lets in whose certificate leads to one of its own that is verified; its keys are nobody's
-- then. `*_code` is what a certificate must be named that proves possession of the key.
ALTER TABLE enrollment_groups ADD COLUMN attestation TEXT NOT NULL DEFAULT 'symmetricKey'
    CHECK (attestation IN ('symmetricKey', 'x509'));
ALTER TABLE enrollment_groups ADD COLUMN primary_certificate TEXT;
ALTER TABLE enrollment_groups ADD COLUMN primary_verified INTEGER NOT NULL DEFAULT 0;
ALTER TABLE enrollment_groups ADD COLUMN primary_code TEXT;
ALTER TABLE enrollment_groups ADD COLUMN primary_certificate_etag TEXT;
ALTER TABLE enrollment_groups ADD COLUMN secondary_certificate TEXT;
ALTER TABLE enrollment_groups ADD COLUMN secondary_verified INTEGER NOT NULL DEFAULT 0;
ALTER TABLE enrollment_groups ADD COLUMN secondary_code TEXT;
ALTER TABLE enrollment_groups ADD COLUMN secondary_certificate_etag TEXT;

-- Keys or certificates.
CREATE TABLE new_attestations (
    application           TEXT    NOT NULL,
    device                TEXT    NOT NULL,
    primary_key           TEXT,
    secondary_key         TEXT,
    primary_certificate   TEXT,
    secondary_certificate TEXT,
    updated_ms            INTEGER NOT NULL,
    PRIMARY KEY (application, device),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE,
    CHECK ((primary_key IS NULL) <> (primary_certificate IS NULL)),
    CHECK ((primary_key IS NULL) = (secondary_key IS NULL))
) STRICT;
INSERT INTO new_attestations (application, device, primary_key, secondary_key, updated_ms)
    SELECT application, device, primary_key, secondary_key, updated_ms FROM attestations;
DROP TABLE attestations;
ALTER TABLE new_attestations RENAME TO attestations;

-- Two more ways for a module to prove itself.
CREATE TABLE new_modules (
    application          TEXT    NOT NULL,
    device               TEXT    NOT NULL,
    id                   TEXT    NOT NULL,
    generation_id        TEXT    NOT NULL,
    etag                 TEXT    NOT NULL,
    managed_by           TEXT,
    auth_type            TEXT    NOT NULL CHECK (auth_type IN ('none', 'sas', 'selfSigned', 'certificateAuthority')),
    primary_key          TEXT,
    secondary_key        TEXT,
    primary_thumbprint   TEXT,
    secondary_thumbprint TEXT,
    created_ms           INTEGER NOT NULL,
    updated_ms           INTEGER NOT NULL,
    subscriptions        INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (application, device, id),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE
) STRICT;
INSERT INTO new_modules (application, device, id, generation_id, etag, managed_by, auth_type, primary_key, secondary_key,
                         created_ms, updated_ms, subscriptions)
    SELECT application, device, id, generation_id, etag, managed_by, auth_type, primary_key, secondary_key,
           created_ms, updated_ms, subscriptions FROM modules;
DROP TABLE modules;
ALTER TABLE new_modules RENAME TO modules;
