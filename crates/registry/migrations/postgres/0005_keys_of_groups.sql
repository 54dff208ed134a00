-- A device made over REST has keys of the first enabled group of its kind. Which one that was is written down from now on, so
-- that the keys go with the group.
UPDATE devices SET enrollment_group = (
    SELECT MIN(enrollment_groups.id) FROM enrollment_groups
    WHERE enrollment_groups.application = devices.application
    AND enrollment_groups.enabled AND enrollment_groups.is_edge = devices.is_edge
)
WHERE enrollment_group IS NULL AND NOT provisioned AND primary_key IS NOT NULL AND NOT EXISTS (
    SELECT attestations.device FROM attestations
    WHERE attestations.application = devices.application AND attestations.device = devices.id
);
