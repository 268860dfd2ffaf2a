"""`make up`: the service and its model server in the foreground, until Ctrl-C."""

import contextlib

from pair import Pair, stop_on_signals


def main() -> None:
    """Run both; print where; stop both."""
    stop_on_signals()
    with contextlib.suppress(KeyboardInterrupt), Pair() as pair:
        print(f"\n  service  {pair.url}   docs {pair.url}/docs", flush=True)
        print(f"  ops      {pair.ops_url}   /metrics /readyz", flush=True)
        print(f"  model    {pair.settings.model_url}   (private)", flush=True)
        print("  Ctrl-C stops both\n", flush=True)
        pair.wait()
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
