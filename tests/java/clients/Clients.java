/** The Java clients against a broker: `Clients <address>`. */
final class Clients {
    private Clients() {}

    public static void main(String[] args) throws Exception {
        Kafka.connect(args[0]);
        Checks checks = new Checks();
        Producers.addTo(checks);
        Consumers.addTo(checks, "classic");
        Consumers.addTo(checks, "consumer");
        Groups.addTo(checks);
        Transactions.addTo(checks);
        Shares.addTo(checks);
        Admins.addTo(checks);
        AdminGroups.addTo(checks);
        AdminCluster.addTo(checks);
        // Checks mostly wait, for sessions and long polls.
        checks.runAndExit(4);
    }
}
