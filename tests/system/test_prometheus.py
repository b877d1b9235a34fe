# SPDX-License-Identifier: BSD-2-Clause
# test_prometheus.py - umstat --prometheus, asked by a Prometheus server and by its linter.
import json
import re
import shutil
import subprocess
import unittest
import urllib.parse
import urllib.request

import case
import lab
import stat_lab
from stat_lab import UMSTAT, WATCHDOG_S

DASHBOARD = lab.ROOT / "conf" / "grafana-umbuf.json"


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"there is no {program}; scripts/deps test brings it where it can")


def needs_names(item):
    return unittest.skipUnless(stat_lab.NAMES.is_file(), f"there is no docs/statistics.md")(item)


def metric(name, unit, kind):
    """As metric_name() of app/umstat/prometheus.h."""
    full = "umbuf_" + name + ("" if name == unit or name.endswith("_" + unit) else "_" + unit)
    return full + "_total" if kind == "counter" or name.endswith("_lcores") else full


def everything():
    """A line for stat_writer for each documented number, of two things each."""
    for i, (name, (unit, kind)) in enumerate(stat_lab.documented().items()):
        for thing in (0, 1):
            value = "5/0/3/1" if kind == "histogram" else str(i + thing)
            yield f"put {name} {unit} {kind} port={thing},reason=x-{thing} {value}"


class Prometheus(case.SystemTest):
    def serve(self, writer):
        """umstat as a server; its address."""
        server = self.lab.program("umstat", [UMSTAT, "--prometheus", "127.0.0.1:0", f"--path={writer.path}"])
        return server, server.wait_for(r"http://(\S+)/metrics serves ")[1]

    def get(self, url):
        with urllib.request.urlopen(url, timeout=WATCHDOG_S) as answer:
            return answer.read().decode()

    def value(self, text, name):
        found = re.search(rf"^{re.escape(name)}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else None

    def test_the_forwarder_is_up_until_it_dies(self):
        writer = stat_lab.Writer(self.lab, "stat", stat_lab.FORWARDER)
        writer.tell("beat on")
        server, address = self.serve(writer)
        text = self.get(f"http://{address}/metrics")
        self.assertEqual(self.value(text, "umbuf_up"), 1)
        self.assertEqual(self.value(text, 'umbuf_port_rx_packets_total'), 100)
        self.assertIn('umbuf_stream_rx_bursts_bucket{rx_port="0",lcore="1",le="+Inf"} 11', text)
        writer.tell("add port_rx_packets port=0,device=net_a,driver=net_null 11")
        self.assertEqual(self.value(self.get(f"http://{address}/metrics"), 'umbuf_port_rx_packets_total'), 111)
        writer.kill()
        text = self.get(f"http://{address}/metrics")
        self.assertEqual(self.value(text, "umbuf_up"), 0)
        self.assertIsNone(self.value(text, 'umbuf_port_rx_packets_total'), "an alert on it would never end")
        stat_lab.Writer(self.lab, "stat", stat_lab.FORWARDER).tell("beat on")
        self.assertEqual(self.value(self.get(f"http://{address}/metrics"), "umbuf_up"), 1, "the next forwarder")
        self.assertEqual(server.stop(), 0)

    def test_an_address_that_is_taken_is_refused(self):
        writer = stat_lab.Writer(self.lab, "stat")
        _, address = self.serve(writer)
        said = lab.run([UMSTAT, "--prometheus", address, f"--path={writer.path}"], check=False)
        self.assertIn(f"cannot listen at {address}", said)

    @needs("promtool")
    @needs_names
    def test_promtool_has_nothing_to_say(self):
        writer = stat_lab.Writer(self.lab, "stat", everything())
        _, address = self.serve(writer)
        text = self.get(f"http://{address}/metrics")
        for name, (unit, kind) in stat_lab.documented().items():
            self.assertIn(f"# TYPE {metric(name, unit, kind)} ", text)
        said = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, timeout=WATCHDOG_S,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual((said.returncode, said.stdout), (0, ""))

    @needs("prometheus")
    def test_a_prometheus_server_scrapes_it(self):
        writer = stat_lab.Writer(self.lab, "stat", stat_lab.FORWARDER)
        writer.tell("beat on")
        _, address = self.serve(writer)
        config = self.logs / "prometheus.yml"
        config.write_text("global: {scrape_interval: 100ms}\nscrape_configs:\n"
                          f"  - job_name: umbuf\n    static_configs: [{{targets: ['{address}']}}]\n")
        server = self.lab.program("prometheus", [
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.lab.path('tsdb')}",
            "--web.listen-address=127.0.0.1:0", "--log.level=info"])
        there = server.wait_for(r"Listening on\"? address=([0-9.:]+)")[1]
        server.wait_for(r"ready to receive web requests")
        ask = lambda query: json.loads(self.get(  # noqa: E731
            f"http://{there}/api/v1/query?query={urllib.parse.quote(query)}"))["data"]["result"]

        def answer(query, wanted):
            lab.until(lambda: (got := ask(query)) and float(got[0]["value"][1]) == wanted, f"{query} to be {wanted}", watch=[server])
        answer("umbuf_up", 1)
        answer('umbuf_port_rx_packets_total{device="net_a"}', 100)
        writer.tell("add port_rx_packets port=0,device=net_a,driver=net_null 50")
        answer('umbuf_port_rx_packets_total{device="net_a"}', 150)
        answer("umbuf_stream_rx_bursts_count", 11)
        self.assertGreater(float(ask("histogram_quantile(0.99, umbuf_stream_rx_bursts_bucket)")[0]["value"][1]), 1)
        targets = json.loads(self.get(f"http://{there}/api/v1/targets"))["data"]["activeTargets"]
        self.assertEqual([(t["health"], t["lastError"]) for t in targets], [("up", "")])

    @needs_names
    def test_every_metric_of_the_dashboard_exists(self):
        known = {"umbuf_up", "umbuf_forwarder_info", "umbuf_start_time_seconds", "umbuf_last_beat_time_seconds"}
        for name, (unit, kind) in stat_lab.documented().items():
            full = metric(name, unit, kind)
            known |= {full + end for end in ("_bucket", "_sum", "_count")} if kind == "histogram" else {full}
        board = json.loads(DASHBOARD.read_text())
        queries = [t["expr"] for panel in board["panels"] for t in panel.get("targets", [])]
        self.assertGreater(len(queries), 10)
        for query in queries:
            named = set(re.findall(r"\bumbuf_\w+", query))
            self.assertTrue(named, query)
            self.assertLessEqual(named, known, query)

    @needs("prometheus")
    def test_prometheus_understands_the_dashboards_queries(self):
        board = json.loads(DASHBOARD.read_text())
        queries = [t["expr"] for panel in board["panels"] for t in panel.get("targets", [])]
        rules = self.logs / "rules.yml"
        rules.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": [
            {"record": f"q{i}", "expr": q.replace("$__rate_interval", "1m").replace("$instance", ".*")} for i, q in enumerate(queries)]}]}))
        self.assertIn("SUCCESS", lab.run(["promtool", "check", "rules", rules]))
