"""Configurations that the tests share."""

SEED = """\
{
  "providers": {
    "openrouter": {"type": "openrouter"},
    "anthropic": {"type": "anthropic"}
  },
  "models": {
    "claude-sonnet": {"provider": "anthropic", "model_id": "claude-sonnet-4-20250514"}
  }
}
"""

CONTRACT = """\
{"default_model": "claude-sonnet",
 "providers": {"anthropic": {"type": "anthropic"},
               "local":     {"type": "vllm", "base_url": "http://127.0.0.1:8000/v1", "max_connections": 64},
               "az":        {"type": "azure", "base_url": "https://x.openai.azure.com", "deployment": "gpt",
                             "api_version": "2024-10-21"}},
 "models": {"claude-sonnet": {"provider": "anthropic", "model_id": "claude-sonnet-4-20250514", "fallbacks": ["fast"]},
            "fast":          {"provider": "local", "model_id": "llama"}},
 "supervisor": {"max_restarts": 5, "restart_window": 30, "on_exhausted": "park"}}
"""

CONTRACT_AS_TOML = """\
default_model = "claude-sonnet"
[providers.anthropic]
type = "anthropic"
[providers.local]
type = "vllm"
base_url = "http://127.0.0.1:8000/v1"
max_connections = 64
[providers.az]
type = "azure"
base_url = "https://x.openai.azure.com"
deployment = "gpt"
api_version = "2024-10-21"
[models.claude-sonnet]
provider = "anthropic"
model_id = "claude-sonnet-4-20250514"
fallbacks = ["fast"]
[models.fast]
provider = "local"
model_id = "llama"
[supervisor]
max_restarts = 5
restart_window = 30
on_exhausted = "park"
"""

NESTED = """\
{"default_model": "openrouter/haiku",
 "providers": {
   "openrouter": {"type": "openrouter", "api_key_env": "OPENROUTER_API_KEY", "verify_ssl": true,
     "models": {"haiku": {"id": "anthropic/claude-haiku-4.5", "context_window": 200000, "guidance": "Quick answers"},
                "smart": {"id": "x-ai/grok-4", "context_window": 131072, "reasoning": true}}},
   "mine": {"type": "ollama", "models": {"llama": {"id": "llama3.2:3b", "reasoning": false}}}}}
"""

CANARY = "sk-canary-0123456789abcdef"
"""A key that must never be seen."""
