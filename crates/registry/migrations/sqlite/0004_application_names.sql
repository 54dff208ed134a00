-- Applications beside the first one live on NAME.HOST: a name leads to one of them.
CREATE UNIQUE INDEX applications_by_name ON applications (LOWER(name));
