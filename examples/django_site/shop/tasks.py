"""The shop's jobs; Dispatch finds every app's tasks.py by itself."""

from dispatch import job


@job(queue="confirmations")
def confirm(order: int) -> str:
    """Confirms an order; a plain function, so that the ORM may be used as in a view."""
    from shop.models import Order

    found = Order.objects.get(pk=order)
    found.confirmed = True
    found.save()
    return f"{found.what} is on its way"
