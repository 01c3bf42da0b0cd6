-- Jobs by outcome and end, so that retention finds what is old without looking at anything else.

CREATE INDEX jobs_ended ON jobs (state, finished_at) WHERE finished_at IS NOT NULL;
