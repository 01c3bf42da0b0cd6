-- Changes nothing: a script that may write is refused before it runs wherever a write would be.
-- parts: base
return 1
