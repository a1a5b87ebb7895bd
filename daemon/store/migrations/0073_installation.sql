-- Whose store it is: the name that everything carries which its daemons made in clouds and clusters. Empty: no daemon that knows of
-- the column has started on it yet; the first one writes the name of its configuration.
ALTER TABLE identity ADD COLUMN installation TEXT NOT NULL DEFAULT '';
