#!/usr/bin/env escript
%% -*- erlang -*-
%% Writes the corpus next to itself, from a real BEAM:
%%
%%     escript corpus.escript
%%
%% Each run differs in the pids and references of its own node, and in functions.
%% GROUP.v1.frames and GROUP.v2.frames are what a port with {packet, 4} writes:
%% a frame for each term of the group, by term_to_binary/2 with that
%% minor_version. made.frames is put together byte by byte, for what this release
%% reads but does not write. GROUP.txt has a line for each frame, in order: a
%% name, a tab, and the term as show/1 prints it.
-mode(compile).

main([]) ->
    Dir = filename:dirname(escript:script_name()),
    [write(Dir, Name, Terms) ||
        {Name, Terms} <- [{"terms", terms()}, {"requests", requests()},
                          {"commands", commands()}, {"events", events()}]],
    Made = made(),
    frames(Dir, "made.frames", [B || {_, B} <- Made]),
    text(Dir, "made.txt", [{N, binary_to_term(B)} || {N, B} <- Made]).

write(Dir, Name, Terms) ->
    [frames(Dir, Name ++ ".v" ++ integer_to_list(V) ++ ".frames",
            [term_to_binary(T, [{minor_version, V}]) || {_, T} <- Terms]) ||
        V <- [1, 2]],
    text(Dir, Name ++ ".txt", Terms).

frames(Dir, Name, Payloads) ->
    ok = file:write_file(filename:join(Dir, Name),
                         [<<(byte_size(B)):32, B/binary>> || B <- Payloads]).

text(Dir, Name, Terms) ->
    ok = file:write_file(filename:join(Dir, Name),
                         [[atom_to_list(N), $\t, line(show(T)), $\n] || {N, T} <- Terms]).

%% A long line is told by its length in bytes and its CRC-32.
line(Text) ->
    case iolist_to_binary(Text) of
        B when byte_size(B) > 200 -> io_lib:format("~b bytes, CRC-32 ~b", [byte_size(B), erlang:crc32(B)]);
        B -> B
    end.

show(T) when is_atom(T) -> [$', atom_to_binary(T, utf8), $'];
show(T) when is_integer(T) -> integer_to_list(T);
show(T) when is_float(T) -> float_to_binary(T, [{scientific, 6}]);
show(T) when is_binary(T) ->
    Plain = T =/= <<>> andalso lists:all(fun (C) -> C >= $\s andalso C =< $~ end, binary_to_list(T)),
    case Plain of
        true -> ["<<\"", T, "\">>"];
        false -> ["<<", lists:join(",", [integer_to_list(B) || <<B>> <= T]), ">>"]
    end;
show(T) when is_bitstring(T) -> io_lib:format("bits ~b", [bit_size(T)]);
show(T) when is_tuple(T) -> ["{", lists:join(",", [show(E) || E <- tuple_to_list(T)]), "}"];
show(T) when is_list(T) -> ["[", elements(T), "]"];
show(T) when is_map(T) ->
    Entries = [iolist_to_binary([show(K), "=>", show(V)]) || {K, V} <- maps:to_list(T)],
    ["#{", lists:join(",", lists:sort(Entries)), "}"];
show(T) when is_pid(T) -> "pid";
show(T) when is_port(T) -> "port";
show(T) when is_reference(T) -> "reference";
show(T) when is_function(T) -> "fun".

elements([]) -> [];
elements([E]) -> show(E);
elements([E | Rest]) when is_list(Rest) -> [show(E), ",", elements(Rest)];
elements([E | Tail]) -> [show(E), "|", show(Tail)].

%% Every kind of term.

terms() ->
    Closure = fun (X) -> fun () -> {X, terms} end end,
    {value, Interpreted, _} =
        erl_eval:exprs(parsed("fun (A) -> fun (B) -> {A, B, x} end end."), []),
    [{atom, ok}, {atom_empty, ''}, {atom_true, true}, {atom_false, false},
     {atom_undefined, undefined}, {atom_nil, nil}, {atom_latin1, 'blåbær'},
     {atom_utf8, 'жπ'}, {atom_255, list_to_atom(lists:duplicate(255, $a))},
     {atom_255_latin1, list_to_atom(lists:duplicate(255, 16#e5))},
     {atom_255_utf8, list_to_atom(lists:duplicate(255, 16#436))}]
        ++ [{list_to_atom("integer_" ++ integer_to_list(N)), N} ||
               N <- [0, 1, 127, 128, 255, 256, -1, -128, -255,
                     (1 bsl 27) - 1, 1 bsl 27, 1 bsl 28, (1 bsl 31) - 1, 1 bsl 31,
                     -(1 bsl 31), -(1 bsl 31) - 1, (1 bsl 32) - 1, 1 bsl 32,
                     (1 bsl 59) - 1, 1 bsl 60, (1 bsl 63) - 1, 1 bsl 63,
                     -(1 bsl 63), -(1 bsl 63) - 1, (1 bsl 64) - 1, 1 bsl 64,
                     -(1 bsl 64) + 1, -(1 bsl 64)]]
        ++
    [{integer_255_bytes, (1 bsl 2040) - 1}, {integer_256_bytes, 1 bsl 2040},
     {integer_300_bytes, -(1 bsl 2399)},
     {float, 1.5}, {float_negative, -2.5e-300}, {float_large, 1.0e308},
     {tuple_0, {}}, {tuple_1, {a}}, {tuple_nested, {a, {b, {c}}}},
     {tuple_255, list_to_tuple(lists:seq(1, 255))},
     {tuple_256, list_to_tuple(lists:seq(1, 256))},
     {list_0, []}, {list_atoms, [a, b]}, {list_nested, [[a], [[b]], []]},
     {list_improper, [a | b]}, {list_improper_bytes, [1, 2 | 3]},
     {list_256, [256]}, {list_negative, [-1]}, {list_mixed, [1, a, 2]},
     {string, "abc"}, {string_zero, [0]}, {string_utf8, binary_to_list(<<"blåbær"/utf8>>)},
     {string_65535, lists:duplicate(65535, $x)}, {string_65536, lists:duplicate(65536, $x)},
     {binary_0, <<>>}, {binary, <<"abc">>}, {binary_bytes, <<0, 1, 254, 255>>},
     {binary_1000, binary:copy(<<"0123456789">>, 100)},
     {bits_3, <<5:3>>}, {bits_19, <<1, 2, 5:3>>},
     {map_0, #{}}, {map, #{a => 1, b => 2}},
     {map_keys, #{#{} => 1, {a} => 2, [1] => 3, <<"k">> => 4, 1.5 => 5,
                  undefined => 6, 7 => 7, "s" => 8, #{a => #{}} => 9}},
     {map_40, maps:from_list([{N, N * N} || N <- lists:seq(1, 40)])},
     {pid, self()}, {pid_other_node, binary_to_term(<<131, 88, 119, 3, "a@b", 1:32, 2:32, 3:32>>)},
     {port, hd(erlang:ports())}, {reference, make_ref()}, {alias, alias()},
     {function, Closure}, {function_closure, Closure({[], #{}})},
     {function_interpreted, Interpreted}, {function_external, fun lists:map/2},
     {depth_32, lists:foldl(fun (_, T) -> {T} end, 1, lists:seq(1, 31))},
     {everything, everything()}].

parsed(Text) ->
    {ok, Tokens, _} = erl_scan:string(Text),
    {ok, Exprs} = erl_parse:parse_exprs(Tokens),
    Exprs.

everything() ->
    #{pid => self(), port => hd(erlang:ports()), ref => make_ref(),
      'fun' => fun () -> ok end, export => fun erlang:self/0,
      float => 1.5, bits => <<1:1>>, big => 1 bsl 100, large_big => 1 bsl 4000,
      negative => -(1 bsl 100), tuple => list_to_tuple(lists:seq(1, 300)),
      improper => [a, b | c], string => "s", nested => [[[{#{a => [b]}}]]],
      undefined => undefined, nil => nil, map_keyed_by_map => #{#{a => b} => #{c => d}}}.

%% Requests: {spawn, map} and {enter, map}.

requests() ->
    Argv = #{argv => [<<"/bin/true">>]},
    With = fun (More) -> {spawn, maps:merge(Argv, More)} end,
    [{spawn, {spawn, Argv}},
     {spawn_all,
      {spawn,
       #{argv => [<<"/bin/sh">>, <<"-c">>, <<"echo hi">>],
         env => [<<"PATH=/bin">>, <<"EMPTY=">>, <<"A=b=c">>],
         namespaces => [user, mount, uts, ipc, cgroup, net, time, pid],
         stdio => pty, cwd => <<"/tmp">>, no_new_privs => true,
         orphan_policy => {kill, 1500}}}},
     {enter, {enter, #{argv => [<<"/bin/true">>], target => 4711}}},
     {enter_all,
      {enter,
       #{argv => [<<"/bin/true">>], target => 16#7fffffff, namespaces => [net, pid],
         env => [], stdio => devnull, cwd => <<"/">>, no_new_privs => false,
         orphan_policy => linger}}},
     {enter_target_small, {enter, #{argv => [<<"/bin/true">>], target => 7}}},
     {argv_charlists, {spawn, #{argv => ["/bin/echo", "a b", "", <<>>, <<"c">>]}}},
     {argv_long_charlist, {spawn, #{argv => ["/bin/echo", lists:duplicate(70000, $y)]}}},
     {argv_many, {spawn, #{argv => [integer_to_binary(N) || N <- lists:seq(1, 1000)]}}},
     {argv_bytes, {spawn, #{argv => [<<"/bin/echo">>, <<1, 255, 254>>, [1, 255, 254]]}}},
     {env_empty, With(#{env => []})},
     {env_charlists, With(#{env => ["A=1", <<"B=2">>]})},
     {namespaces_empty, With(#{namespaces => []})},
     {namespaces_twice, With(#{namespaces => [pid, user, pid]})},
     {stdio_inherit, With(#{stdio => inherit})},
     {stdio_devnull, With(#{stdio => devnull})},
     {stdio_empty, With(#{stdio => []})},
     {stdio_keywords,
      With(#{stdio => [{stdin, devnull}, {stdout, {connect_unix, <<"/run/out.sock">>}},
                       {stderr, inherit}]})},
     {stdio_some, With(#{stdio => [{stderr, {connect_unix, "/run/err.sock"}}]})},
     {cwd_charlist, With(#{cwd => "/srv"})},
     {cwd_empty, With(#{cwd => ""})},
     {orphan_zero, With(#{orphan_policy => {kill, 0}})},
     {orphan_most, With(#{orphan_policy => {kill, 16#7fffffff}})},
     {unknown_keys,
      With(maps:merge(everything(),
                      #{target => nonsense, <<"argv">> => 1, "env" => 2, 3 => 4,
                        {stdio} => pty, #{cwd => 1} => x}))}].

%% Commands.

commands() ->
    Bpf = <<6:16/little, 0, 0, 16#7fff0000:32/little>>,
    [{cap_drop_bounding, {cap_drop_bounding, 16#1ffffffffff}},
     {cap_drop_bounding_none, {cap_drop_bounding, 0}},
     {cap_drop_bounding_all, {cap_drop_bounding, 16#ffffffffffffffff}},
     {cap_set_thread, {cap_set_thread, 1, 16#80000000, 1 bsl 63}},
     {cap_set_ambient, {cap_set_ambient, 1 bsl 10}},
     {seccomp_install, {seccomp_install, Bpf}},
     {seccomp_install_list, {seccomp_install, binary_to_list(Bpf)}},
     {seccomp_install_empty, {seccomp_install, <<>>}},
     {seccomp_install_1000, {seccomp_install, binary:copy(Bpf, 1000)}},
     {pty_winsize, {pty_winsize, {24, 80, 0, 0}}},
     {pty_winsize_most, {pty_winsize, {65535, 65535, 65535, 65535}}},
     {proceed, proceed}, {abort, abort},
     {signal, {signal, 15}}, {signal_first, {signal, 1}}, {signal_last, {signal, 64}},
     {pty_in, {pty_in, <<"ls\r">>}}, {pty_in_empty, {pty_in, <<>>}},
     {pty_in_charlist, {pty_in, "ls\r"}}, {pty_in_nil, {pty_in, []}},
     {pty_in_2000, {pty_in, binary:copy(<<"paste">>, 400)}},
     {pty_in_long_charlist, {pty_in, lists:duplicate(65536, $z)}}].

%% Events, as the agent would send them.

events() ->
    [{spawned, {status, spawned, 4711}}, {spawned_large, {status, spawned, 4194304}},
     {ready, {status, ready, 1}}, {running, {status, running}},
     {pty_out, {pty_out, <<"hi\r\n">>}}, {pty_out_empty, {pty_out, <<>>}},
     {pty_out_1000, {pty_out, binary:copy(<<0>>, 1000)}},
     {pty_in_dropped, {pty_in_dropped, 200000}},
     {exited, {status, exited, 0}}, {exited_255, {status, exited, 255}},
     {signaled, {status, signaled, 31}}, {aborted, {status, aborted, 1}},
     {error, {error, 22, malformed_request}}, {error_setns, {error, 1, setns_user}}].

%% What this release reads but does not write, or writes in another way.

made() ->
    V = 131,
    Node = <<115, 3, "a@b">>,
    [{small_atom, <<V, 115, 2, "ok">>},
     {small_atom_latin1, <<V, 115, 3, 16#e6, 16#f8, 16#e5>>},
     {atom_latin1, <<V, 100, 0, 3, 16#e6, 16#f8, 16#e5>>},
     {small_atom_utf8, <<V, 119, 4, "жπ"/utf8>>},
     {atom_utf8_short, <<V, 118, 0, 2, "ok">>},
     {large_tuple_0, <<V, 105, 0:32>>},
     {large_tuple_2, <<V, 105, 2:32, 97, 1, 97, 2>>},
     {integer_5, <<V, 98, 5:32>>}, {integer_minus_5, <<V, 98, -5:32>>},
     {small_big_5, <<V, 110, 1, 0, 5>>},
     {small_big_padded, <<V, 110, 8, 0, 5, 0:56>>},
     {small_big_padded_255, <<V, 110, 255, 1, 5, 0:(254 * 8)>>},
     {small_big_no_digits, <<V, 110, 0, 0>>},
     {small_big_zero, <<V, 110, 4, 0, 0:32>>},
     {small_big_most_padded, <<V, 110, 12, 0, -1:64, 0:32>>},
     {large_big_5, <<V, 111, 1:32, 0, 5>>},
     {large_big_padded, <<V, 111, 1000:32, 0, 5, 0:(999 * 8)>>},
     {large_big_most_padded, <<V, 111, 300:32, 0, -1:64, 0:(292 * 8)>>},
     {string_0, <<V, 107, 0, 0>>},
     {list_0, <<V, 108, 0:32, 106>>},
     {list_tail_list, <<V, 108, 1:32, 97, 1, 108, 1:32, 97, 2, 106>>},
     {list_tail_string, <<V, 108, 1:32, 97, 1, 107, 0, 2, 2, 3>>},
     {list_of_integers, <<V, 108, 2:32, 98, 97:32, 97, 98, 106>>},
     {float_text, <<V, 99, "1.50000000000000000000e+00", 0:40>>},
     {bits_8, <<V, 77, 1:32, 8, 255>>},
     {pid, <<V, 103, Node/binary, 1:32, 2:32, 3>>},
     {new_pid, <<V, 88, Node/binary, 1:32, 2:32, 3:32>>},
     {port, <<V, 102, Node/binary, 1:32, 3>>},
     {new_port, <<V, 89, Node/binary, 1:32, 3:32>>},
     {v4_port, <<V, 120, Node/binary, (1 bsl 40):64, 3:32>>},
     {reference, <<V, 101, Node/binary, 1:32, 3>>},
     {new_reference, <<V, 114, 3:16, Node/binary, 3, 1:32, 2:32, 3:32>>},
     {newer_reference, <<V, 90, 3:16, Node/binary, 3:32, 1:32, 2:32, 3:32>>},
     {trailing, <<V, 97, 1, "trailing">>}].
