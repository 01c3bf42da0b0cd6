"""The Redis store: every verb is one Lua script, on Redis 7 or Valkey."""

from dispatch.stores.redis.store import RedisStore

__all__ = ["RedisStore"]
