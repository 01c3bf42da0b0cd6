-- Cancels jobs.
-- flags: allow-oom
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends cancels
-- ARGV: now, scoped, app, org, reason, ids. Answers a reply for each, and the state where there is such a job.
local answers = {}
for i = 6, #ARGV do
  local id, answer = ARGV[i], {'missing'}
  local row = job(id)
  if row and in_scope(row, ARGV[2] == '1', ARGV[3], ARGV[4]) then
    answer = {driven(row) and 'conflict' or cancel_job(id, row, ARGV[5]) and 'applied' or 'conflict', row.st}
  end
  answers[#answers + 1] = answer
end
admit_left()
joined()
settle()
wake()
return answers
