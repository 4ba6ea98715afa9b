"""What a book keeps and whom it trades with: state, brokers, journal of persons' decisions, kill switch."""
