# A shell that is root and pid 1 in namespaces of its own, has no capability left that it
# could use outside, and cannot get any back. It needs no privilege.
#
#     mix run examples/sandbox.exs

alias LinxProcess.{Capability, UserNS}

script = """
echo "uid $(id -u), pid $$"
hostname sandbox 2>/dev/null || echo "the host's name stays"
"""

{:ok, all_but_kill} = Capability.all_but([:kill, :setpcap])

{:ok, result} =
  LinxProcess.run(["/bin/sh", "-c", script],
    namespaces: [:user, :pid, :mount, :uts, :ipc, :net],
    no_new_privs: true,
    checkpoint: fn session ->
      with :ok <- UserNS.map_root(session),
           do: LinxProcess.cap_drop_bounding(session, all_but_kill)
    end
  )

IO.write(result.stdout)

# Output:
# uid 0, pid 1
# the host's name stays
