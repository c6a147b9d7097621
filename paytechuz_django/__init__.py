"""Django: request in, response out.

    INSTALLED_APPS += ["paytechuz_django"]              # then: manage.py migrate

    class ShopPayme(PaymeWebhookView):                  # from paytechuz.integrations.django import PaymeWebhookView
        def successfully_payment(self, params, transaction):
            Order.objects.filter(pk=transaction.account_id).update(status="paid")

    path("payments/payme/webhook", ShopPayme.as_view()),

`views` has what a merchant subclasses, `models` the table, `store` keeps transactions in the merchant's own database;
`settings` reads `settings.PAYTECHUZ`, `checks` tells what is wrong with it. The admin, the signals and the commands
(`paytechuz_doctor`, `paytechuz_statement`, `paytechuz_expire`) stand under the names that Django gives them.
"""
