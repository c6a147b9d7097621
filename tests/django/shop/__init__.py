"""The shop's own application; its models need the project, which is configured here where nobody was before us."""

import tests.django.project  # noqa: F401 - it configures Django
