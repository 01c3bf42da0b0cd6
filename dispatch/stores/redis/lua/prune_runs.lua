-- Removes runs that ended long ago with all that is theirs; or counts them. Children of runs that have not ended stay.
-- flags: allow-oom
-- parts: base keys rows moves runs channels_of_events aged
-- ARGV: as prune.lua.
local dry = ARGV[2] == '1'
local old, passed, more = aged('fz:', 4, tonumber(ARGV[3]), dry, function(id)
  local parent_id = call('HGET', run_key(id), 'pa')
  local parent = parent_id and run_of(parent_id)
  return parent and not ended(parent)
end)
for _, one in ipairs(dry and {} or old) do
  local id, driver = one.id, driver_of(one.id)
  local run = run_of(id)
  index_run(id, run, false)
  call('ZREM', P .. 'fi', id)
  if run.pa then
    call('SREM', P .. 'fk:' .. run.pa, id)
  end
  for _, event in ipairs(call('SMEMBERS', P .. 'et:' .. id)) do
    forget_event(event)
  end
  local found = call('HMGET', job_key(driver), 'st', 'q', 'n', 'k', 'ap', 'og')
  if found[1] then
    move(driver, {
      st = found[1], q = found[2], n = found[3], k = found[4], ap = found[5] or nil, og = found[6] or nil,
    }, nil)
  end
  local own = {run_key(id), job_key(driver), P .. 'a:' .. driver}
  for _, family in ipairs({'fj:', 'fn:', 'fc:', 'fr:', 'fw:'}) do
    own[#own + 1] = P .. family .. id
  end
  call('UNLINK', unpack(own))
end
settle()
return {#old, more, unpack(passed)}
