-- Lists of one state begin with numbers: each change of a job looks its place up there, and a number is compared quicker
-- than a name. Which state or kind two numbers stand for is asked of the row, so that they need not differ.

CREATE INDEX jobs_of_state ON jobs (hashtext(state), ascii(kind), id) WHERE state <> 'running';
DROP INDEX jobs_listed;
