/** RabbitMQ's Java client against a broker: `RabbitClient <host:port>`. */
final class RabbitClient {
    private RabbitClient() {}

    public static void main(String[] args) throws Exception {
        Rabbit.at(args[0]);
        Checks checks = new Checks();
        Publishing.add(checks);
        Consuming.add(checks);
        Topology.add(checks);
        Recovery.add(checks);
        checks.runAndExit(4);
    }
}
