import Config

# The tests run the agent of the tree that they are part of, unless LINX_PROCESS
# names another one. Elsewhere LinxProcess.Binary decides when a session starts.
if config_env() == :test do
  config :linx_process,
    binary: System.get_env("LINX_PROCESS") || Path.expand("../../bin/linx-process", __DIR__)
end
