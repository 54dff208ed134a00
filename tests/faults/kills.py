"""What the tests that kill both programs have in common."""

# What a killed program leaves half done is said by the next start; the edge misses Central, and says so.
COMPLAINTS = (
    "cut an unfinished write",
    "creation was interrupted",
    "left by an interrupted write",
    "the hub is not ready",
    "the hub cannot be asked",
    "the scope could not be fetched .*the hub's HTTPS API is not reachable",
)
