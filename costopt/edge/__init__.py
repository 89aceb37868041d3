"""Where clients meet the flow: HTTP transports under the SDKs, and litellm's callables."""
