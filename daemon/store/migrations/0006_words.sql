-- What was resolved for an environment is its placement. A host cluster is cordoned, and takes so many tenants, in the words
-- of the API. The keys are looked for where they stand in a row, since an adopted cluster's attributes have keys of their own.
ALTER TABLE tenants RENAME COLUMN offer TO placement;
UPDATE tenants SET hosting =
    replace(replace(replace(hosting, '{"max_tenants":', '{"tenants_max":'),
        ',"drained":true,"adoption":', ',"cordoned":true,"adoption":'),
        ',"drained":false,"adoption":', ',"cordoned":false,"adoption":')
WHERE hosting IS NOT NULL;
