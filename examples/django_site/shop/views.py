"""Orders over HTTP, and where they are found."""

from django.db import connection, transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from shop.models import Order
from shop.tasks import confirm


class SoldOut(Exception):
    """There is none."""


@csrf_exempt
def orders(request: HttpRequest) -> JsonResponse:
    """POST takes an order: its row and its job are committed together, or neither is."""
    if request.method != "POST":
        return JsonResponse({"orders": list(Order.objects.values("id", "what", "confirmed"))})
    try:
        with transaction.atomic():
            order = Order.objects.create(what=request.POST["what"])
            handle = confirm.options(connection=connection).sync.enqueue(order.pk)
            if order.what == "moon":
                raise SoldOut
    except SoldOut:
        return JsonResponse({"error": "sold out"}, status=409)
    return JsonResponse({"order": order.pk, "job": handle.id}, status=202)


urlpatterns = [path("orders", orders)]
