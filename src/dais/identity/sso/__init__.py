"""Single sign-on with OpenID Connect: providers, whom their users are here, and the conversation with a provider.

`providers` and `linking` are verbs; `relying_party` talks to providers, and `id_tokens` says which tokens are believed.
"""
