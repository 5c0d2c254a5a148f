"""Where the original was weak, each with the tests that show that this is not.

Tests are named as pytest does, from ``tests/`` on. ``test_shown.py`` sees to it that each of them exists and runs.
"""

WEAKNESSES: dict[str, tuple[str, ...]] = {
    "01 one stale connection ends other streams": (
        "inventory/test_weaknesses.py::test_weakness_01_a_stale_connection_harms_nobody_else",
    ),
    "02 no queue, fairness, limits or breaker": (
        "actors/test_mailbox.py::test_a_flood_at_most_doubles_the_wait_of_the_others",
        "actors/test_resilience.py::test_a_throttled_model_is_left_alone_by_all_and_others_are_not",
        "actors/test_resilience.py::test_the_breaker_opens_refuses_at_once_probes_and_closes",
        "faults/test_outage.py::test_an_outage_costs_few_attempts_and_is_over_soon_after_its_end",
    ),
    "03 a pool for every model": (
        "inventory/test_weaknesses.py::test_weakness_03_sockets_are_bounded_by_provider_whatever_the_number_of_models",
    ),
    "04 providers that nobody closes": (
        "inventory/test_weaknesses.py::test_weakness_04_a_registry_leaves_nothing_open",
        "inventory/test_raw_log.py::test_clearing_the_cache_breaks_nobody_and_leaks_nothing",
        "provider/test_shared.py::test_a_second_run_starts_afresh_and_the_first_ends_without_a_drain",
    ),
    "05 streams that are left keep their connection": (
        "actors/test_supervised_path.py::test_a_dropped_stream_of_a_bound_provider_is_cancelled",
        "actors/test_supervised_path.py::test_leaving_a_stream_closes_its_connection_at_once",
    ),
    "06 no backpressure, supervision, health or check at the start": (
        "actors/test_answer.py::test_a_slow_reader_stops_its_own_exchange_and_the_server_s_time_with_it",
        "actors/test_supervised_path.py::test_a_crash_fails_what_was_seen_and_leaves_the_others_alone",
        "actors/test_snapshot.py::test_a_snapshot_is_plain_data_and_a_copy",
        "config/test_resolve.py::test_whoever_demands_keys_gets_the_same_words_as_an_error",
    ),
    "07 errors inside the stream": (
        "faults/test_table.py::test_row",
        "wire/anthropic_messages/test_decode_vectors.py::test_vector_13_an_error_after_content_keeps_what_came",
    ),
    "08 no end marker, a login page or a redirect is success": (
        "faults/test_table.py::test_row",
        "wire/openai_chat/test_decode.py::test_a_stream_cut_before_its_marker_is_never_an_answer",
    ),
    "09 what the provider says of its answer is lost": (
        "inventory/test_weaknesses.py::test_weakness_09_what_the_provider_said_of_its_answer_is_told",
        "wire/openai_chat/test_encode.py::test_a_stream_asks_for_usage",
    ),
    "10 calls without an index are one": (
        "wire/openai_chat/test_toolcalls.py::test_without_an_index_a_name_begins_a_call",
        "wire/openai_chat/test_toolcalls.py::test_a_call_without_an_id_is_given_one_that_is_used_throughout",
        "wire/anthropic_messages/test_decode_vectors.py::"
        "test_vector_34_and_48_a_call_cut_off_by_max_tokens_is_listed_without_arguments",
    ),
    "11 null where a value was expected": (
        "inventory/test_weaknesses.py::test_weakness_11_null_is_as_good_as_absent",
        "wire/openai_chat/test_properties.py::test_odd_types_give_events_or_a_failure_and_both_readers_agree",
    ),
    "12 thinking, length, later system text, order of calls": (
        "inventory/test_weaknesses.py::test_weakness_12_calls_made_one_after_the_other_stay_so",
        "inventory/test_weaknesses.py::test_weakness_12_thinking_is_shown_and_goes_back_as_it_came",
        "wire/anthropic_messages/test_encode_history.py::test_a8_thinking_text_and_a_tool_go_back_in_that_order",
        "wire/anthropic_messages/test_encode_parameters.py::test_max_tokens",
        "wire/anthropic_messages/test_encode_history.py::test_a_later_system_message_where_it_does_not",
    ),
    "13 quadratic time and no limits": (
        "wire/test_sse.py::test_time_grows_with_the_bytes_and_not_with_their_square",
        "wire/openai_chat/test_decode.py::TestLimits::test_going_over_ends_the_request_and_names_the_limit",
        "wire/anthropic_messages/test_decode_limits.py::test_an_answer_over_a_limit_is_refused",
    ),
    "14 retries that ignore the provider and the clock": (
        "actors/test_retry.py::test_what_the_provider_asks_for_is_a_floor_and_comes_with_a_spread",
        "actors/test_retry.py::test_an_attempt_that_cannot_finish_is_not_started",
        "actors/test_retry.py::test_what_may_have_been_received_is_not_repeated_where_that_is_forbidden",
        "actors/gates/test_budget.py::test_fifty_retries_are_there_at_the_start",
        "actors/test_supervised_path.py::test_an_attempt_that_said_nothing_is_repeated_and_says_so",
    ),
    "15 a file of the working directory moves a key": (
        "config/test_load.py::test_a_file_of_the_working_directory_is_not_read_unasked",
        "secrets/test_origin.py::test_a_provider_that_is_moved_or_added_gets_no_key_but_its_own",
        "secrets/test_origin.py::test_an_address_from_the_environment_gets_no_key_of_another_type",
    ),
    "16 private addresses, and names that move": (
        "actors/http/test_ssrf.py::test_where_requests_may_go",
        "actors/http/test_dial.py::test_a_name_is_looked_up_once_and_what_was_checked_is_connected_to",
        "wire/test_addresses.py::test_no_wrapping_makes_an_address_less_suspect",
    ),
    "17 keys in errors and logs": (
        "secrets/test_canary.py::test_no_secret_is_seen",
        "config/test_errors.py::test_a_key_is_shown_nowhere",
    ),
    "18 silent trust": (
        "config/test_errors.py::test_a_mistake_is_one_line_with_its_place_and_no_key",
        "actors/http/test_tls.py::test_certificates_and_names_are_always_checked",
        "actors/http/test_dial.py::test_proxies_of_the_environment_are_not_used",
    ),
    "19 one flat error": (
        "wire/test_vocabulary.py::test_every_kind_has_an_error_of_its_own",
        "wire/test_classify.py::test_a_body_of_any_shape",
    ),
    "20 no ids in logs, and logging that fails requests": (
        "observe/test_settled.py::test_a_completed_request",
        "observe/test_log.py::test_a_sink_that_raises_changes_no_outcome",
        "inventory/test_raw_log.py::test_weakness_20_a_hook_that_raises_fails_no_request",
    ),
    "21 settings without effect, bounds or a request's own": (
        "config/test_resolve.py::test_every_key_reaches_the_actor",
        "config/test_errors.py::test_a_mistake_is_one_line_with_its_place_and_no_key",
        "inventory/test_types.py::test_what_the_original_fixed_is_a_field_of_the_request",
        "inventory/test_features.py::test_a_registry_makes_what_is_asked_for_and_closes_all_of_it",
    ),
    "22 cancelling waits for the server": (
        "actors/test_supervised_path.py::test_a_cancelled_caller_ends_its_request",
        "faults/test_table.py::test_row_40_a_caller_that_is_cancelled_closes_its_connection",
    ),
}
