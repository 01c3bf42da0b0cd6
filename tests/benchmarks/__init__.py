"""How fast this is, measured from outside: processes that enqueue, processes that work, a page of figures and plots."""
