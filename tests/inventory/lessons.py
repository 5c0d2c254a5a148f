"""What the original's history taught, each with the tests that show that it was learned.

Tests are named as pytest does, from ``tests/`` on. ``test_shown.py`` sees to it that each of them exists and runs.
"""

LESSONS: dict[str, tuple[str, ...]] = {
    "01 ids and names of calls are set once": (
        "wire/openai_chat/test_toolcalls.py::test_a_name_is_never_put_together",
        "wire/openai_chat/test_decode.py::test_a_stream_is_read_as_it_was_meant",
    ),
    "02 broken arguments are not empty arguments": (
        "wire/test_vocabulary.py::test_parse_arguments_takes_objects_only",
        "tools/test_arguments.py::test_text_without_a_certain_meaning_is_not",
    ),
    "03 arguments that were cut off are told as such": (
        "tools/test_loop.py::test_arguments_cut_off_by_the_limit_of_tokens_are_told_as_such_and_never_read",
        "wire/anthropic_messages/test_decode_vectors.py::"
        "test_vector_34_and_48_a_call_cut_off_by_max_tokens_is_listed_without_arguments",
    ),
    "04 one reading of arguments": (
        "tools/test_arguments.py::test_whatever_is_written_down_is_read_back",
        "tools/test_arguments.py::test_any_text_at_all_is_answered_without_a_warning",
    ),
    "05 no retries is one attempt": ("inventory/test_lessons.py::test_lesson_05_no_retries_is_one_attempt",),
    "06 connections are kept": (
        "actors/http/test_pool.py::test_one_request_after_the_other_shares_a_connection",
        "provider/test_seed_examples.py::test_tool_loop",
    ),
    "07 only the bad connection goes": (
        "faults/test_table.py::test_row_05_a_kept_connection_had_died",
        "inventory/test_weaknesses.py::test_weakness_01_a_stale_connection_harms_nobody_else",
    ),
    "08 a break in the body is typed and keeps what came": (
        "faults/test_table.py::test_row",
        "faults/test_fallback_cuts.py::test_no_character_is_lost_or_told_twice_wherever_the_stream_breaks",
    ),
    "09 an empty answer is no answer": (
        "faults/test_table.py::test_row",
        "wire/anthropic_messages/test_decode_vectors.py::test_a_body_that_says_nothing_is_empty",
    ),
    "10 cancelled is neither empty nor truncated": (
        "inventory/test_lessons.py::test_lesson_10_cancelled_is_neither_empty_nor_truncated",
    ),
    "11 no space behind the colon": (
        "wire/test_sse.py::test_a_stream_is_read_as_the_standard_says",
        "wire/test_sse.py::test_any_stream_in_any_pieces_is_what_the_book_says",
    ),
    "12 reasoning by any of its names": (
        "wire/openai_chat/test_decode.py::TestReasoning::test_the_field_is_remembered",
        "wire/openai_chat/test_decode.py::test_unknown_content_is_kept_raw_and_told_once",
    ),
    "13 cancelling leaves a history that can be sent": (
        "tools/test_cancelled_loop.py::test_a_run_of_three_rounds_can_be_cancelled_at_every_step",
        "tools/test_loop.py::test_leaving_ends_the_tools_and_says_which_may_have_had_effects",
        "inventory/test_lessons.py::test_lesson_13_a_history_that_was_cut_off_is_repaired_before_it_is_sent",
    ),
    "14 logs of two agents do not cross": (
        "inventory/test_raw_log.py::test_lesson_14_two_agents_on_one_actor_do_not_hear_each_other",
        "observe/test_log.py::test_the_caller_s_context_is_on_the_request_s_lines",
    ),
    "15 reasoning is no part of a cached object": (
        "inventory/test_lessons.py::test_lesson_15_two_aliases_of_one_model_keep_their_reasoning_apart",
    ),
    "16 the model is a part of the request": (
        "inventory/test_lessons.py::test_lesson_16_the_model_is_a_part_of_the_request",
    ),
    "17 who leaves ends the request": (
        "actors/test_supervised_path.py::test_leaving_a_stream_closes_its_connection_at_once",
        "faults/test_table.py::test_row_40_a_caller_that_is_cancelled_closes_its_connection",
        "faults/test_table.py::test_row_41_a_closed_reply_stream_closes_its_connection",
    ),
    "18 exactly one end": (
        "actors/test_promise.py::test_every_request_ends_exactly_once_whatever_happens",
        "schedules/test_schedules.py::test_every_request_ends_exactly_once_whatever_happens",
    ),
    "19 authorities are checked at the start": (
        "config/test_errors.py::test_a_mistake_is_one_line_with_its_place_and_no_key",
        "config/test_load.py::test_a_relative_ca_file_is_found_beside_the_file_that_names_it",
        "actors/http/test_tls.py::test_a_file_of_authorities_replaces_the_usual_ones",
    ),
    "20 no bundle of authorities": (
        "inventory/test_lessons.py::test_lesson_20_without_certifi_s_bundle_the_system_s_authorities_are_trusted",
    ),
    "21 one policy where connections are made, no redirects": (
        "actors/http/test_dial.py::test_what_the_policy_refuses_is_never_connected_to",
        "actors/http/test_dial.py::test_a_name_that_moves_is_checked_again_with_each_connection",
        "secrets/test_origin.py::test_a_redirect_is_not_followed_not_even_on_the_same_machine",
    ),
    "22 error bodies are read up to a limit": ("faults/test_table.py::test_row",),
    "23 refused requests leave evidence": (
        "inventory/test_lessons.py::test_lesson_23_a_refused_request_leaves_evidence",
        "inventory/test_raw_log.py::test_the_four_hooks_hear_every_attempt",
    ),
    "24 one normaliser of tool schemas": (
        "inventory/test_lessons.py::test_lesson_24_every_provider_is_sent_an_object_with_all_its_arguments",
    ),
    "25 what changes does not spoil the cache": (
        "inventory/test_lessons.py::test_lesson_25_what_changes_with_every_request_leaves_the_cached_prefix_as_it_is",
    ),
    "26 a value has one origin": (
        "config/test_resolve.py::test_an_address_in_the_settings_wins_over_the_environment_and_that_over_the_types",
        "config/test_load.py::test_without_a_source_the_environment_names_the_file_before_the_users_folder",
    ),
    "27 byte order marks and odd paths": (
        "config/test_load.py::test_an_empty_file_and_a_byte_order_mark_are_fine",
        "config/test_load.py::test_a_path_that_cannot_be_read_is_a_config_error",
    ),
    "28 every key has an effect": (
        "config/test_resolve.py::test_every_key_reaches_the_actor",
        "config/test_supervisor_settings.py::test_every_key_has_a_test_of_its_effect",
        "config/test_resolve.py::test_a_type_alone_is_enough",
    ),
    "29 the block owns what lives in it": (
        "actors/test_supervised_path.py::test_nothing_is_left_behind",
        "actors/test_shutdown.py::test_the_block_is_left_promptly_with_200_streams_in_flight",
    ),
    "30 complete and stream are one way": (
        "inventory/test_lessons.py::test_lesson_30_complete_and_stream_are_one_way",
    ),
}
