-- Devices and modules that prove themselves with certificates. A certificate is base64 of its DER; a thumbprint is hex digits.

-- A group whose `attestation` is 'x509' lets in whose certificate leads to one of its own that is verified; its keys are nobody's
-- then. `*_code` is what a certificate must be named that proves possession of the key.
ALTER TABLE enrollment_groups
    ADD COLUMN attestation TEXT COLLATE "C" NOT NULL DEFAULT 'symmetricKey'
        CHECK (attestation IN ('symmetricKey', 'x509')),
    ADD COLUMN primary_certificate TEXT COLLATE "C",
    ADD COLUMN primary_verified BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN primary_code TEXT COLLATE "C",
    ADD COLUMN primary_certificate_etag TEXT COLLATE "C",
    ADD COLUMN secondary_certificate TEXT COLLATE "C",
    ADD COLUMN secondary_verified BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN secondary_code TEXT COLLATE "C",
    ADD COLUMN secondary_certificate_etag TEXT COLLATE "C";

-- Keys or certificates.
ALTER TABLE attestations
    ALTER COLUMN primary_key DROP NOT NULL,
    ALTER COLUMN secondary_key DROP NOT NULL,
    ADD COLUMN primary_certificate TEXT COLLATE "C",
    ADD COLUMN secondary_certificate TEXT COLLATE "C",
    ADD CHECK ((primary_key IS NULL) <> (primary_certificate IS NULL)),
    ADD CHECK ((primary_key IS NULL) = (secondary_key IS NULL));

-- Two more ways for a module to prove itself.
ALTER TABLE modules
    DROP CONSTRAINT modules_auth_type_check,
    ADD CONSTRAINT modules_auth_type_check CHECK (auth_type IN ('none', 'sas', 'selfSigned', 'certificateAuthority')),
    ADD COLUMN primary_thumbprint TEXT COLLATE "C",
    ADD COLUMN secondary_thumbprint TEXT COLLATE "C";
