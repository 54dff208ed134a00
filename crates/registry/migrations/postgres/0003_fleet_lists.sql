-- Lists of the fleet by name: each filter of the console has an index in the list's order. The first alone answers what a list
-- by connection looks at. Counting needs none: devices are counted as they change.
DROP INDEX devices_by_enabled;
CREATE INDEX devices_enabled_by_name ON devices (application, enabled, display_name, id, is_edge);
CREATE INDEX devices_edge_by_name ON devices (application, is_edge, display_name, id);
CREATE INDEX devices_template_by_name ON devices (application, template, display_name, id);
-- Which devices a query over a template may answer with, from the index alone.
DROP INDEX devices_by_template;
CREATE INDEX devices_by_template ON devices (application, template, id, provisioned, simulated);
