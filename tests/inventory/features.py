"""What the original could, line by line, each with the tests that show what has become of it here.

Tests are named as pytest does, from ``tests/`` on. ``test_shown.py`` sees to it that each of them exists and runs.
"""

FEATURES: dict[str, tuple[str, ...]] = {
    # Provider types, endpoints, keys.
    "provider types": ("inventory/test_types.py::test_the_type_is_one_of_six",),
    "provider classes": (
        "provider/test_named.py::test_each_name_is_where_the_original_has_it",
        "provider/test_named.py::test_the_factory_and_the_registry_make_the_class_of_the_type",
        "provider/test_named.py::test_each_speaks_for_its_types",
        "provider/test_named.py::test_a_configuration_of_another_type_is_refused",
    ),
    "`PROVIDER_DEFAULTS`": (
        "config/test_settings.py::test_the_originals_table_of_defaults_is_a_view_of_the_catalogue",
        "config/test_resolve.py::test_a_type_alone_is_enough",
        "inventory/test_features.py::test_a_type_s_key_comes_from_its_usual_variable",
    ),
    "endpoints": (
        "inventory/test_features.py::test_each_type_has_its_endpoint_and_sends_the_key_as_its_vendor_wants_it",
        "wire/test_urls.py::test_the_endpoint_that_a_base_url_means",
        "wire/test_urls.py::test_both_generations_of_azure",
    ),
    "`auth_method`": ("inventory/test_features.py::test_the_way_of_sending_the_key_can_be_set",),
    "`extra_headers`": (
        "inventory/test_features.py::test_headers_of_the_settings_go_along_with_those_of_the_dialect",
        "config/test_errors.py::test_a_mistake_is_one_line_with_its_place_and_no_key",
    ),
    "API keys": (
        "inventory/test_features.py::test_a_missing_key_is_told_by_the_name_of_its_variable_when_the_provider_is_used",
        "config/test_resolve.py::test_a_key_in_the_settings_wins_over_the_named_variable_and_that_over_the_usual_one",
        "actors/test_credentials.py::test_all_who_wait_share_one_fetch_and_later_ones_its_key",
    ),
    "environment": (
        "config/test_resolve.py::test_an_address_in_the_settings_wins_over_the_environment_and_that_over_the_types",
        "actors/http/test_dial.py::test_proxies_of_the_environment_are_not_used",
        "actors/http/test_tls.py::test_the_environment_has_no_say",
    ),
    # HTTP, timeouts, retries.
    "HTTP client": (
        "inventory/test_features.py::test_closing_is_idempotent_and_a_closed_provider_can_be_used_again",
        "actors/http/test_pool.py::test_one_request_after_the_other_shares_a_connection",
        "house/test_arrows.py::test_httpx_is_known_where_it_is_served_or_used_only",
    ),
    "`request_timeout`": (
        "actors/test_supervised_path.py::test_the_deadline_holds_whatever_the_server_does",
        "actors/test_supervised_path.py::test_each_step_has_a_limit_of_its_own",
    ),
    "attempts": ("inventory/test_lessons.py::test_lesson_05_no_retries_is_one_attempt",),
    "backoff": (
        "actors/test_retry.py::test_server_trouble_waits_by_full_jitter",
        "actors/test_retry.py::test_waits_grow_to_their_caps_and_no_further",
    ),
    "retryable statuses": ("faults/test_table.py::test_row",),
    "retryable exceptions": (
        "faults/test_table.py::test_row_02_nobody_listens",
        "actors/test_retry.py::test_a_timeout_of_ours_is_repeated_once_and_the_provider_s_own_like_a_server_error",
    ),
    "fail-fast statuses": ("inventory/test_lessons.py::test_lesson_23_a_refused_request_leaves_evidence",),
    "other transport errors": ("faults/test_table.py::test_row",),
    "`Retry-After`": (
        "wire/test_retry_hints.py::test_retry_after",
        "actors/test_retry.py::test_what_the_provider_asks_for_is_a_floor_and_comes_with_a_spread",
    ),
    "stream retries": (
        "actors/test_supervised_path.py::test_an_attempt_that_said_nothing_is_repeated_and_says_so",
        "actors/test_supervised_path.py::test_what_was_seen_is_never_repeated",
    ),
    "stale connections": (
        "faults/test_table.py::test_row_05_a_kept_connection_had_died",
        "inventory/test_weaknesses.py::test_weakness_01_a_stale_connection_harms_nobody_else",
    ),
    "broken streams": (
        "faults/test_table.py::test_row",
        "faults/test_fallback_cuts.py::test_no_character_is_lost_or_told_twice_wherever_the_stream_breaks",
    ),
    "error bodies": (
        "faults/test_table.py::test_row",
        "wire/test_classify.py::test_a_long_page_is_shown_by_its_beginning",
    ),
    "TLS": (
        "actors/http/test_tls.py::test_a_file_of_authorities_replaces_the_usual_ones",
        "actors/http/test_tls.py::test_certificates_and_names_are_always_checked",
        "config/test_errors.py::test_a_mistake_is_one_line_with_its_place_and_no_key",
    ),
    # Where requests may go.
    "base URLs": (
        "inventory/test_features.py::test_where_a_provider_may_be",
        "inventory/test_features.py::test_settings_that_cannot_be_used_are_told_at_the_first_request",
    ),
    "`validate_url`": (
        "actors/http/test_ssrf.py::test_where_requests_may_go",
        "actors/http/test_dial.py::test_one_bad_answer_keeps_even_the_good_ones_from_being_connected_to",
        "inventory/test_types.py::test_modules_of_the_application_are_not_here",
    ),
    # Configuration and registry.
    "`ProviderConfig`": (
        "config/test_resolve.py::test_every_key_reaches_the_actor",
        "config/test_settings.py::test_every_limit_has_a_default",
        "config/test_errors.py::test_a_mistake_is_one_line_with_its_place_and_no_key",
    ),
    "`ModelConfig`": (
        "config/test_load.py::test_models_nested_in_their_provider_become_aliases",
        "config/test_settings.py::test_a_model_keeps_everything_that_is_said_of_it",
    ),
    "`Config`": (
        "config/test_load.py::test_the_seeds_sample_is_read_as_written",
        "config/test_errors.py::test_a_mistake_is_one_line_with_its_place_and_no_key",
        "inventory/test_types.py::test_a_configuration_is_data",
    ),
    "aliases": (
        "config/test_models.py::test_a_model_string_names_a_provider_and_a_model",
        "inventory/test_features.py::test_a_registry_makes_what_is_asked_for_and_closes_all_of_it",
    ),
    "configuration files": (
        "config/test_load.py::test_an_empty_file_and_a_byte_order_mark_are_fine",
        "config/test_load.py::test_without_a_source_the_environment_names_the_file_before_the_users_folder",
        "config/test_load.py::test_a_file_of_the_working_directory_is_not_read_unasked",
    ),
    "`ProviderRegistry`": (
        "inventory/test_features.py::test_a_registry_makes_what_is_asked_for_and_closes_all_of_it",
        "inventory/test_lessons.py::test_lesson_15_two_aliases_of_one_model_keep_their_reasoning_apart",
        "provider/test_shared.py::test_the_registry_makes_each_provider_once",
    ),
    "`clear_cache`": ("inventory/test_raw_log.py::test_clearing_the_cache_breaks_nobody_and_leaks_nothing",),
    # Requests.
    "OpenAI bodies": (
        "wire/openai_chat/test_encode.py::test_each_type_gets_a_setting_in_its_own_words",
        "provider/test_named.py::test_reasoning_is_asked_for_by_the_provider",
    ),
    "Anthropic bodies": (
        "wire/anthropic_messages/test_encode_parameters.py::test_max_tokens",
        "wire/anthropic_messages/test_encode_parameters.py::test_reasoning",
        "inventory/test_types.py::test_what_the_original_fixed_is_a_field_of_the_request",
    ),
    "history repair": (
        "inventory/test_lessons.py::test_lesson_13_a_history_that_was_cut_off_is_repaired_before_it_is_sent",
    ),
    "messages": (
        "wire/openai_chat/test_conversation.py::TestAssistant::test_broken_arguments_go_back_as_text",
        "wire/anthropic_messages/test_encode_history.py::test_arguments_that_are_no_object_are_wrapped_in_one",
        "wire/anthropic_messages/test_encode_history.py::test_a_later_system_message_where_it_does_not",
    ),
    "`dynamic_context`": (
        "inventory/test_lessons.py::test_lesson_25_what_changes_with_every_request_leaves_the_cached_prefix_as_it_is",
        "inventory/test_types.py::test_complete_and_stream_take_messages_and_tools",
    ),
    "prompt caching": (
        "wire/anthropic_messages/test_caching.py::"
        "test_ours_stand_behind_the_system_text_and_the_last_user_turn_but_one",
        "wire/openai_chat/test_conversation.py::TestCacheMarks::test_the_system_text_is_marked_for_claude_behind_the_router",
        "wire/openai_chat/test_conversation.py::TestCacheMarks::test_nobody_else_is_given_marks_unasked",
    ),
    "tool schemas": (
        "inventory/test_lessons.py::test_lesson_24_every_provider_is_sent_an_object_with_all_its_arguments",
    ),
    # Answers.
    "unstreamed answers": (
        "wire/openai_chat/test_unstreamed.py::test_a_body_gives_the_events_of_a_stream",
        "inventory/test_features.py::test_an_answer_in_another_dialect_is_no_answer",
    ),
    "server-sent events": (
        "wire/test_sse.py::test_a_stream_is_read_as_the_standard_says",
        "wire/openai_chat/test_decode.py::test_a_broken_event_is_quoted_in_part",
        "faults/test_table.py::test_row",
    ),
    "OpenAI streams": (
        "wire/openai_chat/test_decode.py::test_a_stream_is_read_as_it_was_meant",
        "wire/openai_chat/test_toolcalls.py::test_a_name_is_never_put_together",
    ),
    "Responses API": ("inventory/test_features.py::test_an_answer_in_another_dialect_is_no_answer",),
    "Anthropic streams": (
        "wire/anthropic_messages/test_decode_vectors.py::test_vector_8_text_with_a_ping_between",
        "wire/anthropic_messages/test_decode_vectors.py::test_vector_10_tool_use_with_an_empty_first_fragment",
    ),
    "end of a stream": (
        "inventory/test_features.py::test_the_message_is_in_the_last_event",
        "wire/openai_chat/test_decode.py::test_a_stream_cut_before_its_marker_is_never_an_answer",
    ),
    "empty answers": (
        "faults/test_table.py::test_row",
        "wire/anthropic_messages/test_decode_vectors.py::test_a_body_that_says_nothing_is_empty",
    ),
    # Tool arguments.
    "tool arguments": (
        "wire/test_vocabulary.py::test_parse_arguments_takes_objects_only",
        "tools/test_arguments.py::test_text_with_one_meaning_is_read",
        "tools/test_arguments.py::test_text_without_a_certain_meaning_is_not",
    ),
    "unresolved arguments": (
        "inventory/test_types.py::test_calls_and_messages_have_fields_in_place_of_a_dict_of_more",
        "tools/test_loop.py::test_arguments_cut_off_by_the_limit_of_tokens_are_told_as_such_and_never_read",
    ),
    # Raw log and redaction.
    "raw log": (
        "inventory/test_raw_log.py::test_the_four_hooks_hear_every_attempt",
        "inventory/test_raw_log.py::test_a_registry_s_callback_hears_what_was_made_before_it_and_after",
        "inventory/test_raw_log.py::test_weakness_20_a_hook_that_raises_fails_no_request",
    ),
    "`LogMultiplexer`": ("inventory/test_raw_log.py::test_lesson_14_two_agents_on_one_actor_do_not_hear_each_other",),
    "`redact_dict`": (
        "observe/test_redact.py::test_a_line_is_cleaned_through_and_through",
        "observe/test_redact.py::test_each_known_shape_goes_from_a_line",
        "inventory/test_types.py::test_modules_of_the_application_are_not_here",
    ),
    # Cancelling, and what used the providers.
    "`CancellationToken`": (
        "actors/test_supervised_path.py::test_a_cancelled_caller_ends_its_request",
        "actors/test_supervised_path.py::test_leaving_a_stream_closes_its_connection_at_once",
        "inventory/test_types.py::test_modules_of_the_application_are_not_here",
    ),
    "`Session`": (
        "tools/test_loop.py::test_calls_run_at_once_and_their_results_are_sent_in_the_order_of_the_calls",
        "tools/test_loop.py::test_at_the_limit_of_rounds_calls_are_answered_but_not_run",
        "inventory/test_types.py::test_modules_of_the_application_are_not_here",
    ),
    "`NexusClient`": ("inventory/test_types.py::test_modules_of_the_application_are_not_here",),
    # Types and signatures.
    "`Role`": ("inventory/test_types.py::test_roles_are_strings_of_the_original_s_values",),
    "`Message` and `ToolCall`": (
        "inventory/test_types.py::test_messages_are_made_by_keywords",
        "inventory/test_types.py::test_calls_and_messages_have_fields_in_place_of_a_dict_of_more",
        "wire/test_vocabulary.py::test_what_was_validated_cannot_be_changed",
    ),
    "`ToolResult`": ("tools/test_loop.py::test_a_call_that_fails_is_told_to_the_model_and_the_run_goes_on",),
    "stream events": (
        "inventory/test_types.py::test_every_event_is_a_stream_event",
        "wire/test_vocabulary.py::test_events_are_positional_frozen_values",
    ),
    "`AuthMethod`": ("inventory/test_features.py::test_the_way_of_sending_the_key_can_be_set",),
    "`ResolvedModel`": ("config/test_models.py::test_a_model_string_names_a_provider_and_a_model",),
    "`AsyncProvider`": (
        "actors/test_supervised_path.py::test_a_bound_provider_has_the_original_s_interface",
        "inventory/test_types.py::test_complete_and_stream_take_messages_and_tools",
    ),
    "`create_provider`": (
        "provider/test_seed_examples.py::test_factory",
        "provider/test_named.py::test_whatever_made_it_is_a_base_provider",
    ),
    "errors": (
        "wire/test_vocabulary.py::test_every_kind_has_an_error_of_its_own",
        "actors/test_flat_errors.py::test_every_exception_that_reaches_the_host_is_a_documented_one",
        "inventory/test_types.py::test_modules_of_the_application_are_not_here",
    ),
    "usage examples": (
        "provider/test_seed_examples.py::test_factory",
        "provider/test_seed_examples.py::test_registry",
        "provider/test_seed_examples.py::test_streaming_with_tools",
        "provider/test_seed_examples.py::test_tool_loop",
    ),
}
"""By the name that ``docs/differences.md`` has for it, where something differs."""
