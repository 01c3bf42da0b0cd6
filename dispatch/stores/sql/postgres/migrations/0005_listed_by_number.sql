-- Lists of one state begin with numbers: each change of a job looks its place up there, and a number is compared quicker
-- than a name. Which state or kind two numbers stand for is asked of the row, so that they need not differ.

-- at once the strongest lock that is needed here: who asks for more later meets those who wait for the first in the meantime
LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE;
CREATE INDEX jobs_of_state ON jobs (hashtext(state), ascii(kind), id) WHERE state <> 'running';
DROP INDEX jobs_listed;
