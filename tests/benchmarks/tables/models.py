"""Sixteen tables, as a tenant of a small product has them: for benchmarks (``TENANT_APPS=tests.benchmarks.tables``).

``migrations`` makes them; ``later`` is the same app one release on, with one nullable column more: settings choose it
with ``MIGRATION_MODULES``.
"""

# ruff: noqa: DJ008 -- nobody looks at these rows

from django.db import models


class Row(models.Model):
    """What all of them have."""

    name = models.CharField(max_length=120)
    created_by = models.UUIDField(null=True, db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True
        indexes = [models.Index(fields=["-created_at", "id"])]


class Customer(Row):
    number = models.CharField(max_length=40, unique=True)
    note = models.TextField(blank=True)


class Contact(Row):
    customer = models.ForeignKey(Customer, models.CASCADE)
    email = models.EmailField(db_index=True)


class Address(Row):
    customer = models.ForeignKey(Customer, models.CASCADE)
    lines = models.JSONField(default=list)


class Product(Row):
    number = models.CharField(max_length=40, unique=True)
    price = models.DecimalField(max_digits=12, decimal_places=2)


class Category(Row):
    parent = models.ForeignKey("self", models.CASCADE, null=True)
    products = models.ManyToManyField(Product)


class Order(Row):
    customer = models.ForeignKey(Customer, models.PROTECT)
    status = models.CharField(max_length=16, default="open", db_index=True)


class OrderLine(Row):
    order = models.ForeignKey(Order, models.CASCADE)
    product = models.ForeignKey(Product, models.PROTECT)
    quantity = models.PositiveIntegerField(default=1)


class Invoice(Row):
    order = models.ForeignKey(Order, models.PROTECT)
    number = models.CharField(max_length=40, unique=True)
    due_on = models.DateField(null=True)


class Payment(Row):
    invoice = models.ForeignKey(Invoice, models.PROTECT)
    amount = models.DecimalField(max_digits=12, decimal_places=2)


class Ticket(Row):
    customer = models.ForeignKey(Customer, models.CASCADE)
    is_open = models.BooleanField(default=True)


class Message(Row):
    ticket = models.ForeignKey(Ticket, models.CASCADE)
    body = models.TextField()


class Attachment(Row):
    message = models.ForeignKey(Message, models.CASCADE)
    size = models.BigIntegerField(default=0)


class Label(Row):
    tickets = models.ManyToManyField(Ticket)


class Setting(Row):
    value = models.JSONField(default=dict)
