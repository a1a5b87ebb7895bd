-- The stage `guardrails` is called `isolation`.
UPDATE stages SET stage = 'isolation', record = replace(record, '"stage":"guardrails"', '"stage":"isolation"')
WHERE stage = 'guardrails';
UPDATE operations SET stages = replace(stages, '"stage":"guardrails"', '"stage":"isolation"')
WHERE stages LIKE '%"stage":"guardrails"%';
UPDATE events SET stage = 'isolation' WHERE stage = 'guardrails';
