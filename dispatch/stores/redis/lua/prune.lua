-- Removes rows that ended long ago, the longest ended first; or counts them. Steps of runs that have not ended stay.
-- flags: allow-oom
-- parts: base keys rows moves runs aged
-- ARGV: now, dry, limit, then a state, the age (microseconds) that its rows may reach and how many to pass over, each.
-- Answers how many, whether there may be more, and how many to pass over from now on in each state.
local dry = ARGV[2] == '1'
local old, passed, more = aged('z:', 4, tonumber(ARGV[3]), dry, function(id)
  local run_id = call('HGET', job_key(id), 'ri')
  local run = run_id and run_of(run_id)
  return run and not ended(run)
end)
if not dry then
  for _, one in ipairs(old) do
    local found = call('HMGET', job_key(one.id), 'st', 'q', 'n', 'k', 'ap', 'og')
    local row = {st = found[1], q = found[2], n = found[3], k = found[4], ap = found[5] or nil, og = found[6] or nil}
    move(one.id, row, nil)
    call('UNLINK', job_key(one.id), P .. 'a:' .. one.id)
  end
  settle()
end
return {#old, more, unpack(passed)}
