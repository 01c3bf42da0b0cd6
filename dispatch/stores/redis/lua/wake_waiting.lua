-- Wakes more of the runs that wait for what was published. Answers 1 while there are more.
-- flags: allow-oom
-- parts: base keys rows moves concurrency place ready runs wakes channels_of_events publishing
local more = go_on_waking(AT_A_TIME)
joined()
wake()
return more and 1 or 0
