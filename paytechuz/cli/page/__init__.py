"""A local web page that plays the provider: what `paytechuz serve` shows.

    server.py      HTTP on loopback: who is let in, the files of the page, answers as they happen
    desk.py        what the page can ask for, apart from HTTP: settings, scenarios, repeats
    calls.py       one call of a provider's, and what must be answered to it
    checkout.py    a payer's link, and what a payer may do at the checkout
    watch.py       what an exchange says of a transaction: the states that light up
    web/           the page itself, and its texts in Russian and Uzbek: served as they are, nothing is built

The scenarios stand in `paytechuz_core.testing`, as everywhere. Nothing here knows a framework.
"""
