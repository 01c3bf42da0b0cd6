-- Makes runs with their drivers: all of this call, or none when one of them may not be. Modes and token as in enqueue.lua.
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends compensation expiry inserts births
-- ARGV: now, mode, token, runs. Answers a mark (1 new, 0 held) and the driver each.
local mode, veto = ARGV[2], P .. 'veto:' .. ARGV[3]
if mode == 'part' and call('EXISTS', veto) == 1 then
  return {}
end
local this, news, at, refusal = new_plan(), {}, 4, nil
while at <= #ARGV and not refusal do
  local new
  new, at = read_run(at)
  news[#news + 1] = new
  refusal = plan(this, new.driver)
end
if refusal then
  if mode == 'check' then
    call('SET', veto, '', 'PX', 1000)
  end
  return {'refused', unpack(refusal)}
end
if mode == 'check' then
  return {}
end
sweep_keys(20)
sweep_idempotency(20)
carry_out(this)
for i, new in ipairs(news) do
  if this.answers[i]:sub(1, 1) == '1' then
    insert_run(new)
  end
end
admit_left()
joined()
settle()
wake()
return this.answers
